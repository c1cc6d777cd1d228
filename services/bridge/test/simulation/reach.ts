import { directedConnectors, selects } from '@tombolo/topology/filter';
import { loadTopology } from '@tombolo/topology/load';
import type { Connector, Topology } from '@tombolo/topology/topology';
import type { Schedule } from './schedule.ts';

/** A network with every default filled in: what a schedule does not decide is taken from it. */
const template = defaults();

function defaults(): Topology {
  const cluster = (port: number) => ({
    broker: { type: 'rabbitmq', uris: [`amqp://127.0.0.1:${port}/%2F`], username: 'u', password: 'p' },
    bridge: { listen: `127.0.0.1:${port + 1}`, uris: [`ws://127.0.0.1:${port + 1}`], secret: 'of the simulated links' },
  });
  const file = {
    version: 1,
    network: 'simulated',
    clusters: { a: cluster(4000), b: cluster(5000) },
    networkConnectors: [{ name: 'a-b', from: 'a', to: 'b', dynamicallyIncludedDestinations: [{ queue: '>' }] }],
  };
  const { topology, problems } = loadTopology('simulated.yaml', { env: {}, readFile: () => JSON.stringify(file) });
  if (!topology) throw new Error(JSON.stringify(problems));
  return topology;
}

/** The file that a schedule's sites share. */
export function topologyOf(schedule: Schedule): Topology {
  const ordinary = template.clusters['a']!;
  const first = template.connectors[0]!;
  const entry = first.dynamicallyIncluded[0]!;
  const { prefetchSize, inFlightBytes, holdWhenLinkLostMs } = schedule;
  // As a file that leaves it open has it.
  const largestWindow = prefetchSize === 1_000 ? 8_000 : prefetchSize;
  const clusters = schedule.sites.map((name) => [
    name,
    { ...ordinary, name, bridge: { ...ordinary.bridge, inFlightBytes, drainTimeoutMs: 5_000 } },
  ]);
  const connectors = schedule.connectors.map(
    ({ name, from, to, duplex, networkTTL, includes, excludes }): Connector => ({
      ...first,
      ...{ name, from, to, duplex, networkTTL, prefetchSize, largestWindow, holdWhenLinkLostMs },
      dynamicallyIncluded: includes.map((pattern) => ({ ...entry, pattern, prefetchSize, largestWindow })),
      excluded: excludes.map((pattern) => ({ kind: 'queue', pattern })),
    }),
  );
  return { ...template, clusters: Object.fromEntries(clusters), connectors };
}

/**
 * Which clusters' consumers a message can reach: those to which a simple path of connectors leads that all permit the queue, not
 * longer than the networkTTL of any of them. Judged from the file alone, in no way that a bridge would use.
 */
export class Reach {
  readonly #topology: Topology;
  readonly #known = new Map<string, boolean>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** A cluster reaches itself. */
  from(source: string, to: string, queue: string): boolean {
    if (source === to) return true;
    const key = `${source} ${to} ${queue}`;
    let answer = this.#known.get(key);
    if (answer === undefined) {
      answer = this.#search(source, to, queue, new Set([source]), 0, Number.POSITIVE_INFINITY);
      this.#known.set(key, answer);
    }
    return answer;
  }

  #search(at: string, to: string, queue: string, visited: Set<string>, length: number, ttl: number): boolean {
    for (const [next, connector] of this.#waysFrom(at, queue)) {
      if (visited.has(next)) continue;
      const allowed = Math.min(ttl, connector.networkTTL);
      if (length + 1 > allowed) continue;
      if (next === to) return true;
      visited.add(next);
      if (this.#search(next, to, queue, visited, length + 1, allowed)) return true;
      visited.delete(next);
    }
    return false;
  }

  /** Of several connectors between two clusters the first that means the queue owns it. */
  #waysFrom(at: string, queue: string): [string, Connector][] {
    const owners = new Map<string, Connector>();
    for (const { from, to, connector } of directedConnectors(this.#topology)) {
      if (from !== at || owners.has(to) || !selects(connector, { kind: 'queue', name: queue }).permitted) continue;
      owners.set(to, connector);
    }
    return [...owners];
  }
}
