import type { Chance } from './chance.ts';

/** Two clusters that are joined, the first one the `from`. */
export type Edge = readonly [string, string];

export interface Shape {
  readonly name: string;
  readonly sites: readonly string[];
  readonly edges: readonly Edge[];
}

export type ShapeName = 'pair' | 'chain' | 'star' | 'ring' | 'mesh' | 'random';

/** How many clusters a shape may have. */
const sizes: Record<ShapeName, readonly [number, number]> = {
  pair: [2, 2],
  chain: [3, 5],
  star: [3, 5],
  ring: [3, 5],
  mesh: [3, 4],
  random: [3, 8],
};

/** Clusters, and who is joined with whom. */
export function drawShape(name: ShapeName, chance: Chance): Shape {
  const [least, most] = sizes[name];
  const sites = [...'abcdefgh'].slice(0, chance.whole(least, most));
  return { name, sites, edges: edgesOf(name, sites, chance) };
}

function edgesOf(name: ShapeName, sites: readonly string[], chance: Chance): Edge[] {
  const [hub, ...leaves] = sites as [string, ...string[]];
  switch (name) {
    case 'pair':
    case 'chain':
      return sites.slice(1).map((site, i) => [sites[i]!, site]);
    case 'star':
      return leaves.map((leaf) => [hub, leaf]);
    case 'ring':
      return sites.map((site, i) => [site, sites[(i + 1) % sites.length]!]);
    case 'mesh':
      return sites.flatMap((a, i) => sites.slice(i + 1).map((b): Edge => [a, b]));
    case 'random': {
      // A tree first, so that all hang together, and a few more.
      const tree = sites.slice(1).map((site, i): Edge => [sites[chance.whole(0, i)]!, site]);
      const joined = new Set(tree.map(([a, b]) => `${a}${b}`));
      const others = sites.flatMap((a, i) => sites.slice(i + 1).map((b): Edge => [a, b]));
      const more = others.filter(([a, b]) => !joined.has(`${a}${b}`));
      return [...tree, ...chance.sample(more, chance.whole(0, sites.length))];
    }
    default:
      throw new Error(`unexpected ${name satisfies never}`);
  }
}
