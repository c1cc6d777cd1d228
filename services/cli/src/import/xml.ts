import { SaxesParser } from 'saxes';

/** Where something begins in a file, from 1, as editors count. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface XmlAttribute {
  readonly name: string;
  readonly value: string;
  readonly place: Place;
}

/** An element by its local name, without text: Spring's configuration has none that matters. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  readonly place: Place;
}

/** The document is no XML. */
export class XmlError extends Error {
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** Reads a document. @throws XmlError with the place of the first thing that is no XML */
export function readXml(text: string): XmlElement {
  const parser = new SaxesParser({ xmlns: true });
  const lines = text.split(/\r\n|\r|\n/);
  const root: Building = { name: '', attributes: [], children: [], place: { line: 1, column: 1 } };
  const open: Building[] = [root];
  let begun: Place = { line: 1, column: 1 };
  let attributes: XmlAttribute[] = [];

  /** The last occurrence of `what` before the place up to which has been read. */
  const before = (what: string): Place => {
    let { line, columnIndex: index } = parser;
    for (; line > 0; line--, index = Number.POSITIVE_INFINITY) {
      const found = (lines[line - 1] ?? '').lastIndexOf(what, index);
      if (found >= 0) return { line, column: found + 1 };
    }
    return { line: parser.line, column: parser.columnIndex };
  };
  parser.on('error', (error) => {
    // Its own message begins with the place.
    throw new XmlError(error.message.replace(/^\d+:\d+: /, ''), { line: parser.line, column: parser.columnIndex });
  });
  parser.on('opentagstart', ({ name }) => {
    begun = before(`<${name}`);
    attributes = [];
  });
  parser.on('attribute', ({ name, value }) => {
    if (name !== 'xmlns' && !name.includes(':')) attributes.push({ name, value, place: before(name) });
  });
  parser.on('opentag', ({ local }) => {
    const element: Building = { name: local, attributes, children: [], place: begun };
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.write(text).close();
  return root.children[0] as XmlElement;
}

interface Building extends XmlElement {
  readonly children: XmlElement[];
}

/** All elements of this name, in the order of the document, the element itself included. */
export function elementsNamed(element: XmlElement, name: string): XmlElement[] {
  const own = element.name === name ? [element] : [];
  return [...own, ...element.children.flatMap((child) => elementsNamed(child, name))];
}
