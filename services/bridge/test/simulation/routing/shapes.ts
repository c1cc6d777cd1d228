import type { ConnectorSketch } from './network-of-routers.ts';

/** How a large network may be laid out. */
export type Shape = 'star of stars' | 'tree' | 'ring of hubs' | 'sparse random graph';
export const shapes: readonly Shape[] = ['star of stars', 'tree', 'ring of hubs', 'sparse random graph'];

/** Duplex connectors between this many clusters. Their networkTTL lets every path pass that a frame can name. */
export function connectorsOf(shape: Shape, clusters: number, random: () => number): ConnectorSketch[] {
  const pairs = new Set<string>();
  const join = (a: number, b: number): void => {
    if (a !== b) pairs.add([a, b].sort((x, y) => x - y).join(' '));
  };
  const hubs = Math.max(3, Math.round(Math.sqrt(clusters)));
  for (let i = 1; i < clusters; i++) {
    if (shape === 'star of stars') join(i, i <= hubs ? 0 : 1 + (i % hubs));
    else if (shape === 'tree') join(i, Math.floor((i - 1) / 3));
    else if (shape === 'ring of hubs') join(i, i < hubs ? i - 1 : i % hubs);
    else join(i, Math.floor(random() * i));
  }
  if (shape === 'ring of hubs') join(hubs - 1, 0);
  // A tree at first, so that all hang together; then half as many connectors again.
  while (shape === 'sparse random graph' && pairs.size < clusters * 1.5) {
    join(Math.floor(random() * clusters), Math.floor(random() * clusters));
  }
  return [...pairs].map((pair) => {
    const [from, to] = pair.split(' ').map((index) => `cluster-${index}`) as [string, string];
    return { from, to, duplex: true, networkTTL: 64 };
  });
}
