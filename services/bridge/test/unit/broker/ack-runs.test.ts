import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AckRuns } from '../../../src/broker/rabbitmq/ack-runs.ts';

/** What RabbitMQ's channel does with acks: a tag must be unacknowledged, `multiple` takes every lower one with it. */
class ChannelModel {
  readonly unacked = new Set<number>();
  readonly acked: number[] = [];
  readonly nacked: number[] = [];

  apply(ack: { kind: 'ack' | 'nack'; tag: number; multiple: boolean }): void {
    if (!this.unacked.has(ack.tag)) throw new Error(`406 unknown delivery tag ${ack.tag}`);
    const taken = ack.multiple ? [...this.unacked].filter((tag) => tag <= ack.tag) : [ack.tag];
    for (const tag of taken) {
      this.unacked.delete(tag);
      (ack.kind === 'ack' ? this.acked : this.nacked).push(tag);
    }
  }
}

test('whatever interleaving of consumers settles, the broker settles exactly that', () => {
  const command = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('deliver' as const),
        owner: fc.nat(3),
        count: fc.integer({ min: 1, max: 8 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('settle' as const),
        kind: fc.constantFrom('ack' as const, 'nack' as const),
        picks: fc.array(fc.nat(), { maxLength: 10 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const runs = new AckRuns<number>();
      const channel = new ChannelModel();
      const open = new Map<number, number>();
      const want = { ack: new Set<number>(), nack: new Set<number>() };
      let tag = 0;
      const flush = () => {
        for (const ack of runs.flush()) channel.apply(ack);
        expect(new Set(channel.acked)).toEqual(want.ack);
        expect(new Set(channel.nacked)).toEqual(want.nack);
        expect([...channel.unacked]).toEqual([...open.keys()]);
      };
      for (const each of commands) {
        if (each.do === 'deliver') {
          for (let index = 0; index < each.count; index++) {
            runs.delivered(++tag, each.owner);
            channel.unacked.add(tag);
            open.set(tag, each.owner);
          }
        } else if (each.do === 'settle') {
          for (const pick of each.picks) {
            const tags = [...open.keys()];
            if (tags.length === 0) break;
            const chosen = tags[pick % tags.length] as number;
            open.delete(chosen);
            want[each.kind].add(chosen);
            expect(runs.settle(chosen, each.kind)).toBe(true);
            expect(runs.settle(chosen, each.kind)).toBe(false);
          }
        } else flush();
      }
      flush();
      for (const owner of [0, 1, 2, 3]) {
        expect(runs.unsettledOf(owner)).toEqual([...open].filter(([, its]) => its === owner).map(([its]) => its));
      }
    }),
    { numRuns: 500 },
  );
});

test('a run from the lowest tag is one multiple', () => {
  const runs = new AckRuns<string>();
  for (let tag = 1; tag <= 5_000; tag++) runs.delivered(tag, 'a');
  for (let tag = 5_000; tag >= 2; tag--) runs.settle(tag, 'ack');
  const singly = runs.flush();
  expect(singly).toHaveLength(4_999);
  expect(singly.every((ack) => !ack.multiple)).toBe(true);
  runs.settle(1, 'ack');
  expect(runs.flush()).toEqual([{ kind: 'ack', tag: 1, multiple: false }]);
  for (let tag = 5_001; tag <= 6_000; tag++) {
    runs.delivered(tag, 'a');
    runs.settle(tag, 'ack');
  }
  expect(runs.flush()).toEqual([{ kind: 'ack', tag: 6_000, multiple: true }]);
  expect(runs.size).toBe(0);
});
