import { stringify } from 'yaml';

/** A cluster or connector of an imported topology. */
export interface ImportedPart {
  /** What stands before it in the file: where it comes from, and what has no equivalent; a line each. */
  readonly comments: readonly string[];
  readonly value: Readonly<Record<string, unknown>>;
}

/** A topology as an importer makes it. */
export interface ImportedTopology {
  /** What stands at the beginning of the file. */
  readonly comments: readonly string[];
  readonly network: string;
  /** By name. */
  readonly clusters: ReadonlyMap<string, ImportedPart>;
  /** In the order in which they own destinations. */
  readonly connectors: readonly ImportedPart[];
}

/** The topology as a file for people: two spaces, comments before what they are about, values quoted where YAML wants it. */
export function renderImport({ comments, network, clusters, connectors }: ImportedTopology): string {
  const lines = [...comments.map(comment), 'version: 1', yaml({ network })];
  lines.push(clusters.size === 0 ? 'clusters: {}' : 'clusters:');
  for (const [name, part] of clusters) {
    lines.push(...indented([...part.comments.map(comment), yaml({ [name]: part.value })], '  '));
  }
  lines.push(connectors.length === 0 ? 'networkConnectors: []' : 'networkConnectors:');
  for (const part of connectors) {
    lines.push(...indented([...part.comments.map(comment), yaml([part.value])], '  '));
  }
  return `${lines.join('\n')}\n`;
}

function comment(text: string): string {
  return `# ${text.replace(/\s+/g, ' ')}`;
}

function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 }).trimEnd();
}

function indented(blocks: readonly string[], by: string): string[] {
  return blocks.flatMap((block) => block.split('\n').map((line) => `${by}${line}`));
}
