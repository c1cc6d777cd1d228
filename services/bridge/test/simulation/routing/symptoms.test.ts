import { describe, expect, it } from 'vitest';
import { type ConnectorSketch, NetworkOfRouters } from './network-of-routers.ts';

/** These connectors, all links up, and everything that the bridges had to say at first said. */
function network(...connectors: readonly ConnectorSketch[]): NetworkOfRouters {
  const routers = new NetworkOfRouters({ connectors });
  routers.connectAll();
  routers.settle();
  return routers;
}

const duplex = (from: string, to: string, networkTTL: number): ConnectorSketch => ({
  from,
  to,
  duplex: true,
  networkTTL,
});
const way = (routers: NetworkOfRouters, from: string, to: string): string | undefined =>
  routers.promised(from, to, 'q')?.join('');

/** Every cluster joined with every other. */
function mesh(size: number, networkTTL: number): ConnectorSketch[] {
  const names = Array.from({ length: size }, (_, index) => `c${String(index).padStart(2, '0')}`);
  return names.flatMap((from, index) => names.slice(index + 1).map((to) => duplex(from, to, networkTTL)));
}

/** How many frames follow from `what`. */
function framesOf(routers: NetworkOfRouters, what: () => void): number {
  const before = routers.frames;
  what();
  routers.settle();
  return routers.frames - before;
}

describe('routing', () => {
  it('a short way that may not be passed on does not hide a longer one that may', () => {
    // From r to k over x, no path may be longer than 2; over y and z they may.
    const routers = network(
      ...[{ from: 's', to: 'r', networkTTL: 5 }],
      ...[duplex('r', 'x', 2), duplex('x', 'k', 2)],
      ...[duplex('r', 'y', 5), duplex('y', 'z', 5), duplex('z', 'k', 5)],
    );
    routers.advertise('k', 'q');
    routers.settle();
    expect([way(routers, 'r', 'k'), way(routers, 's', 'k')]).toEqual(['rxk', 'sryzk']);
    expect(routers.message('s', 'k', 'q')).toEqual({ path: ['s', 'r', 'y', 'z', 'k'], arrived: true });
    expect(routers.message('r', 'k', 'q')).toEqual({ path: ['r', 'x', 'k'], arrived: true });
  });

  it('nor from a cluster that is farther off than the next', () => {
    // s may take the short way, t behind it not.
    const routers = network(
      ...[duplex('t', 's', 6), duplex('s', 'r', 6)],
      ...[duplex('r', 'x', 3), duplex('x', 'k', 3)],
      ...[duplex('r', 'y', 6), duplex('y', 'z', 6), duplex('z', 'k', 6)],
    );
    routers.advertise('k', 'q');
    routers.settle();
    expect([way(routers, 's', 'k'), way(routers, 't', 'k')]).toEqual(['srxk', 'tsryzk']);
    expect(routers.message('t', 'k', 'q').path.join('')).toBe('tsryzk');
  });

  it('a message crosses no connector whose networkTTL is below the length of its path, also where that would be shorter', () => {
    const routers = network(duplex('s', 'r', 3), duplex('r', 'k', 1), duplex('r', 'x', 3), duplex('x', 'k', 3));
    routers.advertise('k', 'q');
    routers.settle();
    expect(routers.message('s', 'k', 'q')).toEqual({ path: ['s', 'r', 'x', 'k'], arrived: true });
    expect(routers.message('r', 'k', 'q')).toEqual({ path: ['r', 'k'], arrived: true });
  });

  it('a connector that is paused beside the sink does not withdraw the demand from those who have other ways', () => {
    const routers = network({ from: 'a', to: 'k' }, { from: 'b', to: 'k' });
    for (const queue of ['q', 'later']) routers.advertise('k', queue);
    routers.settle();
    routers.setPaused('k', 'a-k', true);
    routers.settle();
    expect([way(routers, 'a', 'k'), way(routers, 'b', 'k')]).toEqual([undefined, 'bk']);
    routers.pass(60_000);
    expect(way(routers, 'b', 'k')).toBe('bk');
    routers.setPaused('k', 'a-k', false);
    routers.settle();
    expect(way(routers, 'a', 'k')).toBe('ak');
  });

  it('nor where the two are neighbours and would tell each other', () => {
    const routers = network(duplex('a', 'k', 2), duplex('b', 'k', 2), duplex('a', 'b', 2));
    for (const queue of ['q', 'later']) routers.advertise('k', queue);
    routers.settle();
    routers.setPaused('k', 'a-k', true);
    routers.settle();
    expect([way(routers, 'a', 'k'), way(routers, 'b', 'k')]).toEqual(['abk', 'bk']);
  });

  it('a connector that is paused beside the sink ends the way, also when the sink has said nothing since', () => {
    const routers = network({ from: 'a', to: 'k' });
    routers.advertise('k', 'q');
    routers.settle();
    routers.setPaused('k', 'a-k', true);
    routers.settle();
    expect(way(routers, 'a', 'k')).toBeUndefined();
  });

  it('a way does not end with a lease because the neighbour’s own way to the sink’s cluster leads back', () => {
    // n reaches the cluster k over u as well, which comes first in the alphabet, and so tells u nothing of it.
    const routers = network(
      ...[{ from: 'k', to: 'u', networkTTL: 3 }],
      ...[{ from: 'u', to: 'n', networkTTL: 3 }],
      ...[
        { from: 'n', to: 'x', networkTTL: 3 },
        { from: 'x', to: 'k', networkTTL: 3 },
      ],
    );
    routers.advertise('k', 'q');
    routers.settle();
    expect(way(routers, 'u', 'k')).toBe('unxk');
    const before = routers.node('u').rerouted;
    routers.pass(400_000);
    expect(routers.node('u').rerouted - before).toBe(0);
  });

  it('bridges that have missed nothing ask for no snapshot, however much there is to tell', () => {
    const routers = network(duplex('a', 'b', 3), duplex('b', 'c', 3), duplex('a', 'c', 3));
    for (let index = 0; index < 300; index++) routers.advertise('abc'[index % 3]!, `orders.${index}`);
    routers.settle();
    routers.pass(300_000);
    expect(routers.sent.get('snapshot-request')).toBeUndefined();
  });

  it('a path of more clusters than a frame may name is not told, and the link lives on', () => {
    const connectors = Array.from({ length: 70 }, (_, index) => duplex(`c${100 + index}`, `c${101 + index}`, 255));
    const routers = network(...connectors);
    routers.advertise('c100', 'q');
    routers.settle();
    expect(routers.promised('c164', 'c100', 'q')).toHaveLength(65);
    expect(routers.promised('c165', 'c100', 'q')).toBeUndefined();
    expect(routers.message('c164', 'c100', 'q').arrived).toBe(true);
  });
});

describe('a sink that restarts', () => {
  it('while a distant bridge is cut off is believed there once it is back, and what it has no more is gone', () => {
    const routers = network(duplex('k', 'a', 3), duplex('a', 'b', 3), duplex('b', 'c', 3));
    for (const queue of ['q', 'gone']) routers.advertise('k', queue);
    routers.settle();
    routers.cut('a', 'b');
    routers.settle();
    expect(routers.node('c').router.table.get('k', { kind: 'queue', name: 'gone' })).toMatchObject({ best: undefined });
    routers.restart('k', ['q']);
    routers.settle();
    routers.connect('a', 'b');
    routers.settle();
    expect(way(routers, 'c', 'k')).toBe('cbak');
    expect(routers.promised('c', 'k', 'gone')).toBeUndefined();
    routers.pass(120_000);
    const standing = [...routers.node('c').router.table.standing()].map(({ destination }) => destination.name);
    expect(standing.sort()).toEqual(['a', 'b', 'k', 'q']);
  });

  it('and has a demand no more says so at once to all who had heard of it', () => {
    const routers = network(duplex('k', 'a', 3), duplex('a', 'b', 3));
    routers.advertise('k', 'q');
    routers.settle();
    routers.restart('k', []);
    routers.settle();
    expect(routers.node('b').router.table.get('k', { kind: 'queue', name: 'q' })).toBeUndefined();
  });

  it('without sight of its broker tells nothing, and its demand once it sees', () => {
    const routers = network(duplex('k', 'a', 1));
    routers.advertise('k', 'q');
    routers.settle();
    routers.node('k').router.setSighted(false);
    routers.cut('k', 'a');
    routers.connect('k', 'a');
    routers.settle();
    expect(routers.node('a').router.table.get('k', { kind: 'queue', name: 'q' })).toMatchObject({
      ...{ state: 'standing', best: undefined },
    });
    routers.node('k').router.setSighted(true);
    routers.settle();
    expect(way(routers, 'a', 'k')).toBe('ak');
  });
});

describe('what routing costs in a mesh of n', () => {
  const sizes = [4, 8, 16];

  it.each(sizes)('a demand or its end is told at most once each way over every link (n = %i)', (size) => {
    const routers = network(...mesh(size, size));
    const edges = (size * (size - 1)) / 2;
    expect(framesOf(routers, () => routers.advertise('c00', 'q'))).toBeLessThanOrEqual(2 * edges);
    expect(framesOf(routers, () => routers.advertise('c00', 'q', 2))).toBeLessThanOrEqual(2 * edges);
    expect(framesOf(routers, () => routers.withdraw('c00', 'q'))).toBeLessThanOrEqual(2 * edges);
  });

  it.each(sizes)('what is told again is not told on (n = %i)', (size) => {
    const routers = network(...mesh(size, size));
    routers.advertise('c00', 'q');
    routers.settle();
    const { router } = routers.node('c01');
    const { frame } = router.table.get('c00', { kind: 'queue', name: 'q' })!.best!;
    expect(framesOf(routers, () => router.frame('c00', frame, () => {}))).toBe(0);
  });

  it.each(sizes)(
    'the loss of one link is told to all, and what follows from it to the neighbours of its ends (n = %i)',
    (size) => {
      const routers = network(...mesh(size, size));
      routers.advertise('c00', 'q');
      routers.settle();
      expect(framesOf(routers, () => routers.cut('c00', 'c01'))).toBeLessThanOrEqual(2 * size * (size - 1) + 6 * size);
      expect(way(routers, 'c01', 'c00')).toBe('c01c02c00');
    },
  );

  it('a cluster whose only link is gone is not looked for along every path that others have told', () => {
    const routers = network(...mesh(9, 20), { from: 'leaf', to: 'c00', duplex: true, networkTTL: 20 });
    for (const queue of ['p', 'q']) routers.advertise('leaf', queue);
    routers.settle();
    // The loss over every link from both ends, and for each of the three destinations that it is unreachable.
    expect(framesOf(routers, () => routers.cut('leaf', 'c00'))).toBeLessThanOrEqual(5 * 2 * 37);
    expect(way(routers, 'c05', 'leaf')).toBeUndefined();
    routers.connect('leaf', 'c00');
    routers.settle();
    expect(way(routers, 'c05', 'leaf')).toBe('c05c00leaf');
  });
});
