import type { DemandFrame, Destination, WithdrawFrame } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest, demandLine } from '../../../src/routing/digest.ts';
import { LEASE_MS } from '../../../src/routing/lease.ts';
import { RouteTable } from '../../../src/routing/route-table.ts';

const q: Destination = { kind: 'queue', name: 'q' };

/** A table of cluster `a`, whose connectors to all neighbours permit paths of up to 9. */
function table(): RouteTable {
  return new RouteTable('a', () => 9);
}

/** An advertisement of k's demand over these clusters, the neighbour last. */
function demand(path: string, said: Partial<DemandFrame> = {}): DemandFrame {
  return {
    ...{ kind: 'demand', sink: 'k', destination: q, incarnation: 1, version: 1, path: path.split('') },
    ...{ ttl: 9, connector: 'c', consumers: 1, queue: {}, leaseMs: LEASE_MS },
    ...said,
  };
}

function withdraw(version: number, incarnation = 1): WithdrawFrame {
  return { kind: 'withdraw', sink: 'k', destination: q, incarnation, version };
}

const tell = (to: RouteTable, frame: DemandFrame, now = 0) => to.advertised(frame.path.at(-1)!, frame, now);
const best = (of: RouteTable) => of.get('k', q)?.best?.path.join('');
const sighted = (incarnation = 1) => ({ incarnation, sighted: true });

describe('the route table', () => {
  it('uses the same way in whatever order ways came: the newest incarnation, the shortest, the first in the alphabet', () => {
    const frames = [demand('kyb'), demand('kxc'), demand('kxyd'), demand('kzwe', { incarnation: 2 })];
    for (const [use, some] of [
      ['kzwe', frames],
      ['kxc', frames.slice(0, 3)],
    ] as const) {
      fc.assert(
        fc.property(fc.shuffledSubarray([...some], { minLength: some.length }), (order) => {
          const routes = table();
          for (const frame of order) tell(routes, frame);
          expect(best(routes)).toBe(use);
        }),
      );
    }
  });

  it('remembers ways that it does not use, and uses them when the better one is gone', () => {
    const routes = table();
    for (const path of ['k', 'kb', 'kxc']) tell(routes, demand(path));
    expect(routes.size).toBe(3);
    const seen = [best(routes)];
    routes.lost('k', 0);
    seen.push(best(routes));
    routes.unreachable('b', 'k', q, 0);
    seen.push(best(routes));
    expect(seen).toEqual(['k', 'kb', 'kxc']);
  });

  it.each([
    ['names the own cluster', 'kab', 'b'],
    ['does not end with the neighbour', 'kxb', 'c'],
    ['does not begin with the sink', 'xb', 'b'],
    ['crosses a cluster twice', 'kxxb', 'b'],
  ])('ignores a path that %s', (_what, path, neighbour) => {
    const routes = table();
    expect(routes.advertised(neighbour, demand(path), 0)).toEqual([]);
    expect(routes.advertised('b', demand('kb', { farther: [{ path: ['k', 'a', 'b'], ttl: 9 }] }), 0)).toEqual([]);
    expect(routes.size).toBe(0);
  });

  it('uses no way that is longer than a connector on it permits, the own one included', () => {
    const routes = new RouteTable('a', (neighbour) => (neighbour === 'b' ? 1 : 9));
    tell(routes, demand('kb'));
    tell(routes, demand('kxc', { ttl: 2 }));
    expect([routes.get('k', q)?.best, routes.size]).toEqual([undefined, 2]);
    tell(routes, demand('kxyd'));
    expect(best(routes)).toBe('kxyd');
  });

  it('loses all ways to a withdrawn demand, and believes no advertisement that was older and came late', () => {
    const routes = table();
    tell(routes, demand('k', { version: 4 }));
    tell(routes, demand('kb', { version: 5 }));
    expect(routes.withdrawn(withdraw(6), 0)).toHaveLength(1);
    expect([routes.get('k', q), routes.size]).toEqual([undefined, 0]);
    expect(tell(routes, demand('kc', { version: 5 }))).toEqual([]);
    expect(routes.get('k', q)).toBeUndefined();
    expect(routes.withdrawn(withdraw(6), 0)).toBeUndefined();
    tell(routes, demand('kc', { version: 7 }));
    expect(best(routes)).toBe('kc');
  });

  it('remembers the withdrawal of a demand of which it had not heard', () => {
    const routes = table();
    expect(routes.withdrawn(withdraw(6), 0)).toBeUndefined();
    tell(routes, demand('k', { version: 5 }));
    expect(routes.get('k', q)).toBeUndefined();
  });

  it('does not take an old withdrawal for news when the demand has come back', () => {
    const routes = table();
    tell(routes, demand('k', { version: 7 }));
    expect(routes.withdrawn(withdraw(6), 0)).toBeUndefined();
    expect(routes.withdrawn(withdraw(900, 0), 0)).toBeUndefined();
    expect(best(routes)).toBe('k');
  });

  it('forgets a withdrawal after a lease', () => {
    const routes = table();
    tell(routes, demand('k'));
    routes.withdrawn(withdraw(6), 1_000);
    routes.expire(LEASE_MS);
    tell(routes, demand('k', { version: 5 }), LEASE_MS);
    expect(routes.get('k', q)).toBeUndefined();
    routes.expire(LEASE_MS + 1_000);
    tell(routes, demand('k', { version: 5 }), LEASE_MS + 1_000);
    expect(best(routes)).toBe('k');
  });

  it('keeps a demand that is unreachable standing for a lease, and forgets it then', () => {
    const routes = table();
    tell(routes, demand('kb'));
    routes.unreachable('b', 'k', q, 1_000);
    expect(routes.get('k', q)).toMatchObject({ state: 'standing', best: undefined });
    expect(routes.expire(LEASE_MS + 999).map(({ route }) => route.state)).toEqual([]);
    expect(routes.expire(LEASE_MS + 1_000).map(({ route }) => route.state)).toEqual(['forgotten']);
    expect([...routes.standing()]).toEqual([]);
  });

  it('drops the ways to a sink that has said nothing for a lease, whatever transits repeat', () => {
    const routes = table();
    const cluster = (version: number): DemandFrame =>
      demand('kb', { destination: { kind: 'cluster', name: 'k' }, version });
    tell(routes, cluster(1), 0);
    tell(routes, demand('kb', { version: 2 }), 0);
    for (let now = 0; now < LEASE_MS; now += 10_000) {
      tell(routes, demand('kb', { version: 2, consumers: now }), now);
      expect(routes.expire(now)).toEqual([]);
    }
    expect(routes.leaseLeft('k', LEASE_MS - 10)).toBe(10);
    routes.expire(LEASE_MS);
    expect([best(routes), routes.size]).toEqual([undefined, 0]);
  });

  it('loses the ways over a link far off that is gone, in the direction that is gone, and no others', () => {
    const routes = table();
    tell(routes, demand('kxyb'));
    tell(routes, demand('kyxc'));
    tell(routes, demand('kxzyd'));
    tell(routes, demand('kxye', { ttl: 4, farther: [{ path: ['k', 'z', 'y', 'w', 'e'], ttl: 6 }] }));
    routes.hopLost('y', 'x', 0);
    const told = [...routes.get('k', q)!.ways.values()].map(({ path }) => path.join(''));
    expect(told).toEqual(['kyxc', 'kxzyd', 'kzywe']);
    expect(best(routes)).toBe('kyxc');
  });

  it('a neighbour whose better way is gone is believed when it advertises one that has heard less', () => {
    const routes = table();
    tell(routes, demand('kb', { version: 6 }));
    tell(routes, demand('kxb', { version: 5 }));
    expect(best(routes)).toBe('kxb');
  });

  it('an advertisement that is told again changes nothing', () => {
    const routes = table();
    tell(routes, demand('kb'));
    expect(tell(routes, demand('kb', { leaseMs: 10 }))).toEqual([]);
  });
});

describe('a snapshot', () => {
  it('sweeps what it does not repeat: by this neighbour there is no way to it any more', () => {
    const routes = table();
    tell(routes, demand('kb'));
    tell(routes, demand('kxc'));
    tell(routes, demand('b', { sink: 'b' }));
    routes.snapshotBegun('b', true);
    tell(routes, demand('b', { sink: 'b' }));
    const { changes, withdrawals } = routes.snapshotEnded('b', sighted(), 0);
    expect([changes.length, withdrawals, best(routes), routes.get('b', q)?.best?.neighbour]).toEqual([
      1,
      [],
      'kxc',
      'b',
    ]);
  });

  it('of a sink that does not see its broker leaves what it said of itself', () => {
    const routes = table();
    tell(routes, demand('k'));
    tell(routes, demand('xk', { sink: 'x' }));
    routes.snapshotBegun('k', false);
    routes.snapshotEnded('k', { incarnation: 1, sighted: false }, 0);
    expect([best(routes), routes.get('x', q)?.best]).toEqual(['k', undefined]);
  });

  it('of a later incarnation withdraws what the one before has said, by other ways too', () => {
    const routes = table();
    tell(routes, demand('k', { version: 50 }));
    tell(routes, demand('kb', { version: 50 }));
    routes.lost('k', 0);
    routes.snapshotBegun('k', true);
    const { withdrawals } = routes.snapshotEnded('k', sighted(2), 0);
    expect(withdrawals).toEqual([withdraw(0, 2)]);
    routes.withdrawn(withdrawals[0]!, 0);
    expect(routes.get('k', q)).toBeUndefined();
    tell(routes, demand('kb', { version: 60 }));
    expect(routes.get('k', q)).toBeUndefined();
    tell(routes, demand('kb', { incarnation: 2, version: 1 }));
    expect(best(routes)).toBe('kb');
  });

  it('settles what an earlier link had told and no way has told since', () => {
    const routes = table();
    tell(routes, demand('k'));
    routes.lost('k', 0);
    routes.snapshotBegun('k', false);
    expect(routes.snapshotEnded('k', { incarnation: 1, sighted: false }, 0).changes).toEqual([]);
    routes.snapshotBegun('k', true);
    expect(routes.snapshotEnded('k', sighted(), 0).changes.map(({ route }) => route.state)).toEqual(['withdrawn']);
    expect(routes.get('k', q)).toBeUndefined();
  });

  it('that a broken link cut short sweeps nothing of the next one', () => {
    const routes = table();
    tell(routes, demand('kb'));
    routes.snapshotBegun('b', true);
    routes.lost('b', 0);
    tell(routes, demand('kb'));
    routes.snapshotEnded('b', sighted(), 0);
    expect(best(routes)).toBe('kb');
  });
});

describe('the digest of what a neighbour has told', () => {
  const step = fc.oneof(
    fc.record({ name: fc.constantFrom('p', 'q', 'r'), path: fc.constantFrom('kb', 'kxb'), version: fc.nat(3) }),
    fc.record({ name: fc.constantFrom('p', 'q', 'r'), unreachable: fc.constant(true) }),
    fc.record({ name: fc.constantFrom('p', 'q', 'r'), withdrawn: fc.nat(3) }),
  );

  it('agrees with exactly what is known of it, whatever was told in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
        const routes = table();
        for (const { name, ...what } of steps) {
          const destination: Destination = { kind: 'queue', name };
          if ('path' in what) tell(routes, demand(what.path, { destination, version: what.version }));
          else if ('withdrawn' in what) routes.withdrawn({ ...withdraw(what.withdrawn), destination }, 0);
          else routes.unreachable('b', 'k', destination, 0);
        }
        const known = new Digest();
        for (const { ways } of routes.standing()) {
          for (const frame of ways.values()) known.add(demandLine(frame));
        }
        expect(routes.agrees('b', known.count, known.toString())).toBe(true);
        expect(routes.agrees('b', known.count + 1, known.toString())).toBe(false);
        known.add('another');
        expect(routes.agrees('b', known.count, known.toString())).toBe(false);
      }),
    );
  });

  it('is empty again on a new link', () => {
    const routes = table();
    tell(routes, demand('kb'));
    routes.lost('b', 0);
    expect(routes.agrees('b', 0, new Digest().toString())).toBe(true);
  });
});
