import { type Destination, type DirectedConnector, directedConnectors, selects } from './filter.ts';
import { compileRegex, covers, type Pattern } from './pattern.ts';
import type { Connector, Topology } from './topology.ts';

/** Something that a topology would do, and its author probably does not want. */
export interface Forecast {
  readonly kind: 'shadowed' | 'cancelled' | 'paused' | 'too_far' | 'lost';
  /** As a sentence. */
  readonly text: string;
}

/**
 * What a topology would do, as far as the file alone tells: connectors that own nothing because others come first, filters that let
 * nothing pass, demand that only paused connectors would serve, and demand that networkTTL keeps from clusters which
 * connectors lead to. With the topology before it: demand that was served and is not any more.
 *
 * Patterns are tried by a name that they mean; of regular expressions only those that an obvious name matches. So what is told is
 * so, and what is not told may be so all the same.
 */
export function forecast(topology: Topology, before?: Topology): Forecast[] {
  return [
    ...shadowed(topology),
    ...cancelled(topology),
    ...reaches(topology),
    ...(before ? lost(before, topology) : []),
  ];
}

/** Of two connectors the same way, the first in file order owns what both mean: of the second such an entry has no effect. */
function shadowed(topology: Topology): Forecast[] {
  const ways = directedConnectors(topology);
  return ways.flatMap((way, index) => {
    const earlier = ways.slice(0, index).filter(({ from, to }) => from === way.from && to === way.to);
    return entriesOf(way.connector).flatMap((entry): Forecast[] => {
      const owner = earlier.find((other) => owns(other.connector, entry));
      if (!owner) return [];
      const text = `connector ${way.connector.name}: ${entry.kind} ${entry.pattern} from ${way.from} to ${way.to} has no effect, since connector ${owner.connector.name}, which comes first, owns all of it`;
      return [{ kind: 'shadowed', text }];
    });
  });
}

/** Every destination that the entry means is the connector's, nothing of it being excluded. */
function owns(connector: Connector, entry: Pattern): boolean {
  if (connector.excluded.some((exclusion) => exclusion.kind === 'queueRegex' || overlaps(exclusion, entry)))
    return false;
  return entriesOf(connector).some((other) => {
    if (other.kind !== entry.kind) return false;
    return other.kind === 'queueRegex' ? other.pattern === entry.pattern : covers(other.pattern, entry.pattern);
  });
}

function overlaps(exclusion: Pattern, entry: Pattern): boolean {
  if (exclusion.kind !== entry.kind) return entry.kind === 'queueRegex' && exclusion.kind === 'queue';
  return covers(exclusion.pattern, entry.pattern) || covers(entry.pattern, exclusion.pattern);
}

/** A connector of whose inclusions nothing is left. */
function cancelled({ connectors }: Topology): Forecast[] {
  return connectors.flatMap((connector): Forecast[] => {
    const entries = entriesOf(connector);
    const samples = entries.map(sampleOf);
    if (samples.some((sample) => sample === undefined || selects(connector, sample).permitted)) return [];
    const why =
      entries.length === 0 ? 'it includes nothing' : 'its exclusions, or reserved names, cover all that it includes';
    return [{ kind: 'cancelled', text: `connector ${connector.name} lets nothing pass: ${why}` }];
  });
}

interface Reach {
  /** The clusters whose messages come to the sink. */
  readonly sources: ReadonlySet<string>;
  /** Those that would if networkTTL were as high as the number says. */
  readonly tooFar: ReadonlyMap<string, { readonly hops: number; readonly lowest: DirectedConnector }>;
}

function reaches(topology: Topology): Forecast[] {
  const found: Forecast[] = [];
  for (const sample of samplesOf(topology)) {
    for (const sink of sinksOf(topology, sample.destination)) {
      const { sources, tooFar } = reachOf(topology, sample.destination, sink);
      const what = `${sample.entry.kind} ${sample.entry.pattern}`;
      if (sources.size === 0) {
        const text = `demand for ${what} at ${sink} is served by paused connectors only, until one is resumed`;
        found.push({ kind: 'paused', text });
      }
      for (const [source, { hops, lowest }] of tooFar) {
        const { name, networkTTL } = lowest.connector;
        const text = `messages of ${what} at ${source} do not reach consumers at ${sink}: that takes ${hops} connectors, and connector ${name} has networkTTL ${networkTTL}`;
        found.push({ kind: 'too_far', text });
      }
    }
  }
  return found;
}

function lost(before: Topology, after: Topology): Forecast[] {
  const found = new Map<string, Forecast>();
  for (const { entry, destination } of [...samplesOf(before), ...samplesOf(after)]) {
    for (const sink of sinksOf(before, destination)) {
      const { sources } = reachOf(before, destination, sink);
      const still = reachOf(after, destination, sink).sources;
      const gone = [...sources].filter((source) => !still.has(source)).sort();
      if (gone.length === 0) continue;
      const what = `${entry.kind} ${entry.pattern}`;
      const text =
        still.size === 0
          ? `demand for ${what} at ${sink} is served by no path any more; until now its messages came from ${gone.join(', ')}`
          : `messages of ${what} at ${gone.join(', ')} do not reach consumers at ${sink} any more`;
      found.set(text, { kind: 'lost', text });
    }
  }
  return [...found.values()];
}

/** Breadth first from the sink, against the direction of messages, once for each networkTTL that could be the lowest. */
function reachOf(topology: Topology, destination: Destination, sink: string): Reach {
  const meant = directedConnectors(topology).filter(({ connector }) => selects(connector, destination).permitted);
  const ways = owners(meant);
  const open = ways.filter(({ connector }) => !connector.paused && connector.autoStart);
  const sources = new Set<string>();
  for (const ttl of new Set(open.map(({ connector }) => connector.networkTTL))) {
    const wide = open.filter(({ connector }) => connector.networkTTL >= ttl);
    for (const [source, { hops }] of distances(wide, sink)) if (hops <= ttl) sources.add(source);
  }
  const tooFar = new Map([...distances(open, sink)].filter(([source]) => !sources.has(source)));
  return { sources, tooFar };
}

/** Of several connectors the same way that mean a destination, the first. */
function owners(ways: readonly DirectedConnector[]): DirectedConnector[] {
  return ways.filter((way, index) => ways.findIndex(({ from, to }) => from === way.from && to === way.to) === index);
}

/** How many connectors lie between each cluster and the sink, on a shortest path, and which of them has the lowest networkTTL. */
function distances(ways: readonly DirectedConnector[], sink: string): Reach['tooFar'] {
  const found = new Map<string, { hops: number; lowest: DirectedConnector }>();
  let frontier = [sink];
  for (let hops = 1; frontier.length > 0; hops++) {
    const next: string[] = [];
    for (const here of frontier) {
      for (const way of ways) {
        if (way.to !== here || way.from === sink || found.has(way.from)) continue;
        const onward = found.get(here)?.lowest;
        const lowest = onward && onward.connector.networkTTL <= way.connector.networkTTL ? onward : way;
        found.set(way.from, { hops, lowest });
        next.push(way.from);
      }
    }
    frontier = next;
  }
  return found;
}

/** The clusters to which a connector brings this destination. */
function sinksOf(topology: Topology, destination: Destination): string[] {
  const ways = directedConnectors(topology).filter(({ connector }) => selects(connector, destination).permitted);
  return [...new Set(ways.map(({ to }) => to))].sort();
}

interface Sample {
  readonly entry: Pattern;
  readonly destination: Destination;
}

/** A destination for each entry of the file, each once. */
function samplesOf({ connectors }: Topology): Sample[] {
  const samples = new Map<string, Sample>();
  for (const entry of connectors.flatMap(entriesOf)) {
    const destination = sampleOf(entry);
    const key = `${entry.kind} ${entry.pattern}`;
    if (destination && !samples.has(key)) samples.set(key, { entry, destination });
  }
  return [...samples.values()];
}

function entriesOf({ dynamicallyIncluded, staticallyIncluded }: Connector): readonly Pattern[] {
  return [...staticallyIncluded, ...dynamicallyIncluded];
}

/** A destination that the entry means; undefined: no obvious one. */
function sampleOf({ kind, pattern }: Pattern): Destination | undefined {
  if (kind !== 'queueRegex') return { kind, name: sampleName(pattern) };
  const name = pattern
    .replace(/[\^$\\]/g, '')
    .replace(/\[([^\]^])[^\]]*\][*+?]?/g, '$1')
    .replace(/\.[*+]/g, 'any');
  return compileRegex(pattern)?.(name) ? { kind: 'queue', name } : undefined;
}

/** Words that no file is likely to name, so that an exclusion of a part is not taken for one of the whole. */
function sampleName(pattern: string): string {
  const words = pattern.split('.');
  return words
    .map((word, index) => (word === '*' || (word === '>' && index === words.length - 1) ? 'any-name' : word))
    .join('.');
}
