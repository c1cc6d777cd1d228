import { decodeFrame, encodeFrame } from '@tombolo/wire/codec';
import type { Frame } from '@tombolo/wire/frame';
import { NetworkOfRouters } from './network-of-routers.ts';
import { connectorsOf, type Shape } from './shapes.ts';

export interface Case {
  readonly shape: Shape;
  readonly clusters: number;
  readonly destinations: number;
}

/** What something costs: frames on all links, their bytes, and how long the bridges work on it (ms). */
export interface Cost {
  readonly frames: number;
  readonly bytes: number;
  readonly meanMs: number;
  readonly busiestMs: number;
}

export interface Measured extends Case {
  readonly links: number;
  readonly demands: number;
  readonly ways: number;
  readonly bytesPerWay: number;
  /** From the first demand until every bridge knows all of them. */
  readonly converged: Cost;
  /** A minute in which nothing happens. */
  readonly minute: Cost;
  /** One link is lost, and another way found. */
  readonly linkLost: Cost;
  /** It is back. */
  readonly linkBack: Cost;
  /** A bridge ends, and its successor begins with the demand of its cluster. */
  readonly restart: Cost;
}

/**
 * Lets a network of routers learn, keep and mend its routes, and counts. Frames go through the codec, as on a link: nothing is shared
 * between bridges but this process.
 *
 * @param now milliseconds, for how long the bridges work
 * @param heap bytes in use, what is garbage left out
 */
export function measure(
  { shape, clusters, destinations }: Case,
  random: () => number,
  now: () => number,
  heap: () => number,
): Measured {
  const spent = new Map<string, number>();
  let bytes = 0;
  const network = new NetworkOfRouters({
    connectors: connectorsOf(shape, clusters, random),
    wire: {
      written(frame) {
        const written = encodeFrame(frame);
        bytes += written.length;
        return written;
      },
      read: (written) => decodeFrame(written as Buffer) as Frame,
    },
    around(cluster, work) {
      const begun = now();
      work();
      spent.set(cluster, (spent.get(cluster) ?? 0) + now() - begun);
    },
  });
  const costOf = (what: () => void): Cost => {
    spent.clear();
    const before = { bytes, frames: network.frames };
    what();
    network.settle();
    const times = [...spent.values()];
    return {
      frames: network.frames - before.frames,
      bytes: bytes - before.bytes,
      meanMs: times.reduce((sum, each) => sum + each, 0) / clusters,
      busiestMs: Math.max(0, ...times),
    };
  };
  network.connectAll();
  network.settle();
  const names = [...network.nodes.keys()];
  const empty = heap();
  let demands = 0;
  const converged = costOf(() => {
    for (let index = 0; index < destinations; index++) {
      const sinks = new Set(Array.from({ length: 1 + (index % 3) }, () => names[Math.floor(random() * clusters)]!));
      for (const sink of sinks) network.advertise(sink, `orders.region-${index % 17}.${index}`);
      demands += sinks.size;
      if (index % 100 === 99) network.settle();
    }
  });
  let ways = 0;
  for (const { router } of network.nodes.values()) {
    for (const { ways: known } of router.table.standing()) ways += known.size;
  }
  const bytesPerWay = (heap() - empty) / ways;
  const minute = costOf(() => network.pass(60_000));
  const [a, b] = network.pairs[Math.floor(network.pairs.length / 2)]!;
  const linkLost = costOf(() => network.cut(a, b));
  const linkBack = costOf(() => network.connect(a, b));
  const restart = costOf(() => network.restart(names[Math.floor(clusters / 2)]!));
  return {
    ...{ shape, clusters, destinations, links: network.pairs.length, demands, ways, bytesPerWay },
    ...{ converged, minute, linkLost, linkBack, restart },
  };
}
