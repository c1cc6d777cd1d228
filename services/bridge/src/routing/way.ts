import type { DemandFrame } from '@tombolo/wire/frame';

/** A way to a sink's demand: whom to hand frames, and what was said of the demand on that way. */
export interface Way {
  readonly neighbour: string;
  readonly frame: DemandFrame;
  /** The clusters on it, the sink first, the neighbour last: one of those that the frame tells. */
  readonly path: readonly string[];
  /** The lowest networkTTL of the connectors on it, the own one to the neighbour included. */
  readonly ttl: number;
}

/**
 * The ways worth knowing of all that neighbours have told: of the sink's newest incarnation, ordered by length, each with a higher
 * ttl than those before. Shorter and higher never loses; but a longer way with a higher ttl serves clusters farther off, from which
 * no path over the shorter one is permitted any more. Where all connectors have the same networkTTL there is one at most.
 *
 * @param limit the networkTTL of the connector to this neighbour; 0: no frame may go there now
 */
export function frontOf(told: ReadonlyMap<string, DemandFrame>, limit: (neighbour: string) => number): readonly Way[] {
  const candidates: Way[] = [];
  for (const [neighbour, frame] of told) {
    const bound = limit(neighbour);
    if (bound === 0) continue;
    consider(candidates, neighbour, frame, frame, bound);
    for (const way of frame.farther ?? noWays) consider(candidates, neighbour, frame, way, bound);
  }
  if (candidates.length < 2) return candidates;
  return undominated(candidates);
}

const noWays: readonly Pick<Way, 'path' | 'ttl'>[] = [];

function consider(
  candidates: Way[],
  neighbour: string,
  frame: DemandFrame,
  { path, ttl }: Pick<Way, 'path' | 'ttl'>,
  bound: number,
): void {
  const lowest = Math.min(ttl, bound);
  if (path.length <= lowest) candidates.push({ neighbour, frame, path, ttl: lowest });
}

function undominated(candidates: Way[]): Way[] {
  const front: Way[] = [];
  for (const way of candidates.sort(compareWays)) {
    const last = front.at(-1);
    if (!last || (way.frame.incarnation === last.frame.incarnation && way.ttl > last.ttl)) front.push(way);
  }
  return front;
}

/**
 * Below 0: `a` is the better way. The newest incarnation, then the shortest, then the highest ttl, then the path that comes first in
 * the alphabet, cluster by cluster from the sink: the same in whatever order they were told.
 */
function compareWays(a: Way, b: Way): number {
  return (
    b.frame.incarnation - a.frame.incarnation ||
    a.path.length - b.path.length ||
    b.ttl - a.ttl ||
    comparePaths(a.path, b.path)
  );
}

function comparePaths(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return 0;
}

/** Whether the two lists are of the very same ways, told in the very same frames. */
export function sameWays(a: readonly Way[], b: readonly Way[]): boolean {
  return (
    a.length === b.length &&
    a.every((way, i) => {
      const { neighbour, frame, path, ttl } = b[i]!;
      return way.neighbour === neighbour && way.frame === frame && way.path === path && way.ttl === ttl;
    })
  );
}
