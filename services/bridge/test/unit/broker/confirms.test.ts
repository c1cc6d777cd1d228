import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Confirms } from '../../../src/broker/rabbitmq/confirms.ts';

const publication = (id: number, routingKey: string, body: string, properties = Buffer.of(0, 0)) => ({
  publication: { id, exchange: '', routingKey, properties, body: Buffer.from(body) },
  handler: 'h',
});

test('returned, confirmed and refused are attributed whatever the broker merges', () => {
  // Each message: what it says, whether it is routable, whether the broker nacks it. Equal messages may differ in fate.
  const message = fc.record({
    body: fc.constantFrom('a', 'b', 'c'),
    key: fc.constantFrom('x', 'y'),
    routable: fc.boolean(),
    nacked: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(5), { maxLength: 40 }),
      (messages, gaps) => {
        const confirms = new Confirms<string>();
        for (const [id, each] of messages.entries()) confirms.published(publication(id, each.key, each.body));
        const verdicts = new Map<number, string>();
        const judge = (tag: number, multiple: boolean, kind: 'ack' | 'nack') => {
          for (const verdict of confirms.settled(tag, multiple, kind)) {
            expect(verdicts.has(verdict.publication.id)).toBe(false);
            verdicts.set(verdict.publication.id, verdict.outcome);
          }
        };
        // The broker returns in publish order and before the ack of the message; acks lag by up to some messages.
        let acked = 0;
        const settleThrough = (until: number) => {
          while (acked < until) {
            const nacked = messages[acked]?.nacked && messages[acked]?.routable;
            let last = acked;
            while (last + 1 < until && (messages[last + 1]?.nacked && messages[last + 1]?.routable) === nacked) last++;
            judge(last + 1, last > acked, nacked ? 'nack' : 'ack');
            acked = last + 1;
          }
        };
        for (const [index, each] of messages.entries()) {
          if (!each.routable) {
            const { publication: its } = publication(0, each.key, each.body);
            expect(confirms.returned({ ...its, reason: 'NO_ROUTE' })).toBe(true);
          }
          settleThrough(Math.max(acked, index + 1 - (gaps[index] ?? 0)));
        }
        settleThrough(messages.length);
        expect(verdicts.size).toBe(messages.length);
        // Equal messages are interchangeable: the outcomes per content are what counts.
        const count = (outcome: string, key: string, body: string) =>
          messages.filter((each, id) => verdicts.get(id) === outcome && each.key === key && each.body === body).length;
        for (const key of ['x', 'y']) {
          for (const body of ['a', 'b', 'c']) {
            const same = messages.filter((each) => each.key === key && each.body === body);
            expect(count('returned', key, body)).toBe(same.filter((each) => !each.routable).length);
          }
        }
        expect(confirms.size).toBe(0);
      },
    ),
    { numRuns: 500 },
  );
});

test('a return with altered properties is matched by key and body, then by key', () => {
  const confirms = new Confirms<string>();
  confirms.published(publication(1, 'x', 'a'));
  confirms.published(publication(2, 'x', 'b'));
  const altered = { exchange: '', routingKey: 'x', properties: Buffer.of(1), reason: 'NO_ROUTE' };
  expect(confirms.returned({ ...altered, body: Buffer.from('b') })).toBe(true);
  expect(confirms.returned({ ...altered, body: Buffer.from('other') })).toBe(true);
  expect(confirms.returned({ ...altered, body: Buffer.from('other') })).toBe(false);
  expect(confirms.settled(2, true, 'ack').map((each) => each.outcome)).toEqual(['returned', 'returned']);
});

test('what a closed channel leaves is told apart', () => {
  const confirms = new Confirms<string>();
  for (let id = 1; id <= 3; id++) confirms.published(publication(id, `k${id}`, 'a'));
  confirms.settled(1, false, 'ack');
  confirms.returned({ ...publication(0, 'k3', 'a').publication, reason: 'NO_ROUTE' });
  const { returned, open } = confirms.abandon();
  expect(returned.map((each) => each.publication.id)).toEqual([3]);
  expect(open.map((each) => each.publication.id)).toEqual([2]);
});
