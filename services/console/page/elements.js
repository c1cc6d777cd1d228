/*
 * Elements and their text. Names of queues, reasons and everything else that the bridge tells go in as text and never as markup:
 * whoever may declare a queue chooses its name.
 */

const svgNamespace = 'http://www.w3.org/2000/svg';

/** Control characters, and those that turn the direction of what follows, would make a name look like another one. */
export function printable(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** An element with attributes (`on…`: listeners; undefined and false: none) and children, of which strings are text. */
export function element(name, attributes = {}, ...children) {
  return made(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function drawn(name, attributes = {}, ...children) {
  return made(document.createElementNS(svgNamespace, name), attributes, children);
}

function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(
    ...children
      .filter((child) => child !== undefined)
      .map((child) => (child instanceof Node ? child : printable(child))),
  );
  return node;
}

/** Sets the text of a node, but only if it is another: who reads or listens is not disturbed. */
export function say(node, text) {
  const shown = printable(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/**
 * Makes the children of `parent` those of `items`, in order. The child of an item stays the same node as long as its key does, so that
 * focus and selection stay where they are.
 * @param create makes the node of an item
 * @param update brings a node up to date; called for new ones too
 */
export function keyed(parent, items, keyOf, create, update) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    known.delete(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    update(node, item);
    const next = before === null ? parent.firstElementChild : before.nextElementSibling;
    if (next !== node) parent.insertBefore(node, next);
    before = node;
  }
  for (const node of known.values()) node.remove();
}
