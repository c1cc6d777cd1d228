import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Agreement } from '../../../src/routing/agreement.ts';
import { type ConnectorSketch, queueOf, topologyOf } from '../../simulation/routing/network-of-routers.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

const connector: fc.Arbitrary<ConnectorSketch> = fc
  .record({
    from: fc.nat(names.length - 1),
    step: fc.integer({ min: 1, max: names.length - 1 }),
    duplex: fc.boolean(),
    networkTTL: fc.integer({ min: 1, max: 5 }),
  })
  .map(({ from, step, ...rest }) => ({ from: names[from]!, to: names[(from + step) % names.length]!, ...rest }));

/** Every simple path from `cluster`, walked one by one; the ends of those that all their connectors permit. */
function endsOfPaths(connectors: readonly ConnectorSketch[], cluster: string): string[] {
  const ends = new Set<string>();
  const walk = (path: readonly string[], lowest: number): void => {
    for (const { from, to, duplex, networkTTL = 1 } of connectors) {
      const here = path.at(-1)!;
      const next = from === here ? to : duplex && to === here ? from : undefined;
      if (next === undefined || path.includes(next)) continue;
      const ttl = Math.min(lowest, networkTTL);
      if (path.length <= ttl) ends.add(next);
      walk([...path, next], ttl);
    }
  };
  walk([cluster], Number.POSITIVE_INFINITY);
  return [...ends].sort();
}

describe('what the clusters have agreed', () => {
  it('lets messages of a cluster reach exactly the ends of all simple paths that no connector on them finds too long', () => {
    fc.assert(
      fc.property(fc.array(connector, { minLength: 1, maxLength: 9 }), (connectors) => {
        for (const name of names) {
          expect(new Agreement(topologyOf(connectors), name).sinks).toEqual(endsOfPaths(connectors, name));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('lets the first connector in file order that means a destination own it, also when it is paused', () => {
    const agreement = new Agreement(
      topologyOf([
        { name: 'p-only', from: 'a', to: 'b', queues: ['p'] },
        { name: 'backwards', from: 'b', to: 'a' },
        { name: 'rest', from: 'a', to: 'b', excluded: ['x.>'] },
      ]),
      'a',
    );
    const owner = (queue: string) => agreement.outbound('b', queueOf(queue)).connector?.name;
    expect(['p', 'q', 'x.y', 'amq.z'].map(owner)).toEqual(['p-only', 'rest', undefined, undefined]);
    agreement.setPaused('p-only', true);
    expect(agreement.outbound('b', queueOf('p'))).toMatchObject({ open: false, reason: 'paused' });
    agreement.setPaused('p-only', false);
    expect(agreement.outbound('b', queueOf('p')).open).toBe(true);
    expect(agreement.inbound('b', queueOf('p')).connector?.name).toBe('backwards');
  });

  it('takes a peer to agree until it has said what its file has, and says whether that changes anything', () => {
    const agreement = new Agreement(topologyOf([{ name: 'one', from: 'a', to: 'b' }]), 'a');
    const open = () => agreement.outbound('b', queueOf('q')).open;
    expect(open()).toBe(true);
    expect(agreement.heard('b', { kind: 'connectors', connectors: [{ name: 'one', from: 'a', to: 'b' }] })).toBe(false);
    expect(open()).toBe(true);
    expect(agreement.heard('b', { kind: 'connectors', connectors: [{ name: 'one', from: 'b', to: 'a' }] })).toBe(true);
    expect(open()).toBe(false);
    agreement.linkLost('b');
    expect(open()).toBe(true);
  });

  it('goes by a changed file at once: what peers said stands, what is new is pending until they know it, what is gone is closed', () => {
    const [old, kept] = [
      { name: 'old', from: 'a', to: 'b', queues: ['o'] },
      { name: 'kept', from: 'a', to: 'b', queues: ['k'] },
    ];
    const agreement = new Agreement(topologyOf([old, kept]), 'a');
    const known = ['old', 'kept'].map((name) => ({ name, from: 'a', to: 'b' }));
    agreement.heard('b', { kind: 'connectors', connectors: known });
    const next = { name: 'new', from: 'a', to: 'b', queues: ['n'] };
    agreement.amended(topologyOf([kept, next, { name: 'far', from: 'c', to: 'a' }]));
    const passage = (queue: string) => agreement.outbound('b', queueOf(queue));
    expect(agreement.peers).toEqual(['b', 'c']);
    expect(['o', 'k', 'n'].map((queue) => passage(queue).open)).toEqual([false, true, false]);
    expect(passage('n')).toMatchObject({ detail: 'connector new is not in the file of b yet' });
    agreement.heard('b', { kind: 'connectors', connectors: [...known, { name: 'new', from: 'a', to: 'b' }] });
    expect(passage('n').open).toBe(true);
  });

  it('keeps what an operator has paused or resumed until the file says otherwise of that connector', () => {
    const sketches = ['one', 'two'].map((name) => ({ name, from: 'a', to: 'b', queues: [name] }));
    const topology = topologyOf(sketches);
    const halted = (name: string, connectors = topology.connectors) => ({
      ...topology,
      connectors: connectors.map((each) => (each.name === name ? { ...each, autoStart: false } : each)),
    });
    const agreement = new Agreement(topology, 'a');
    const open = () => ['one', 'two'].map((queue) => agreement.outbound('b', queueOf(queue)).open);
    agreement.setPaused('one', true);
    agreement.amended(topologyOf([...sketches, { name: 'more', from: 'a', to: 'b' }]));
    expect(open()).toEqual([false, true]);
    agreement.amended(halted('two'));
    expect(open()).toEqual([false, false]);
    agreement.setPaused('two', false);
    agreement.amended(halted('two', halted('one').connectors));
    expect(open()).toEqual([false, true]);
    agreement.amended(topology);
    expect(open()).toEqual([true, true]);
  });
});
