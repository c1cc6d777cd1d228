import { replyKeys, signedReplyAddress } from '@tombolo/wire/reply-address';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReplyBook, type ReplyBookOptions, type ReplyEffect } from '../../../src/reply/reply-book.ts';

const MINUTE = 60_000;
const wall = Date.UTC(2030, 0, 1, 12);

const bookOf = (changes: Partial<ReplyBookOptions> = {}) =>
  new ReplyBook({ cluster: 'east', knows: (cluster) => cluster !== 'nowhere', ...changes });

/** An address of west, valid for so many minutes. */
function addressOf(requester: string, minutes = 45, origin = 'west'): string {
  const keys = replyKeys({ network: 'acme', cluster: origin, secrets: ['s3cret'] });
  return signedReplyAddress(keys, { origin, expiresAt: wall + minutes * MINUTE, target: { address: requester } })!;
}

function served(book: ReplyBook, ...queues: string[]): void {
  book.requested(queues, 0, wall);
  for (const queue of queues) book.declared(queue);
}

describe("the book of a replier's bridge", () => {
  const a = addressOf('a');
  const b = addressOf('b');

  it('has the queue declared before the request is published, and serves it from then on', () => {
    const book = bookOf();
    expect(book.requested([a], 0, wall)).toEqual({
      effects: [{ do: 'declare', queue: a, expiresMs: 60 * MINUTE }],
      awaited: [a],
      crowded: 0,
    });
    expect(book.declared(a)).toEqual([{ do: 'serve', queue: a, origin: 'west' }]);
    expect(book.requested([a], 1, wall)).toEqual({ effects: [], awaited: [], crowded: 0 });
    expect(book.size).toBe(1);
  });

  it('declares once for many requests, and lets all of them wait for it', () => {
    const book = bookOf();
    expect(book.requested([a, a, b], 0, wall).effects).toHaveLength(2);
    expect(book.requested([a], 1, wall)).toEqual({ effects: [], awaited: [a], crowded: 0 });
    book.declared(a);
    expect(book.declared(a)).toEqual([]);
    expect(book.requested([a, b], 2, wall).awaited).toEqual([b]);
  });

  it.each([
    ['a name that is no reply address', 'orders'],
    ['a malformed one', 'tombolo.reply.west.x'],
    ['one of its own cluster', addressOf('a', 45, 'east')],
    ['one of a cluster that the network does not have', addressOf('a', 45, 'nowhere')],
    ['one that has expired', addressOf('a', -2)],
  ])('asks nothing for %s', (_, queue) => {
    const book = bookOf();
    expect(book.requested([queue], 0, wall)).toEqual({ effects: [], awaited: [], crowded: 0 });
    expect(book.found(queue, 0, wall)).toEqual([]);
    expect(book.size).toBe(0);
  });

  it('waits for the end of a declaration before it lets an address go, and does not ask to be woken for that', () => {
    const book = bookOf();
    book.requested([a], 0, wall);
    expect(book.nextWake()).toBe(Number.POSITIVE_INFINITY);
    expect(book.wake(100 * MINUTE)).toEqual([]);
    expect(book.declared(a)).toHaveLength(1);
    expect(book.wake(book.nextWake())).toEqual([{ do: 'release', queue: a }]);
  });

  it('lets an address go once it has expired, and asks to be woken for that', () => {
    const book = bookOf();
    served(book, a, addressOf('c', 50));
    const at = book.nextWake();
    expect(at).toBe(46 * MINUTE);
    expect(book.wake(at - 1)).toEqual([]);
    expect(book.wake(at)).toEqual([{ do: 'release', queue: a }]);
    expect(book.nextWake()).toBe(51 * MINUTE);
    book.wake(book.nextWake());
    expect(book.nextWake()).toBe(Number.POSITIVE_INFINITY);
  });

  it('believes no address to be valid for longer than two hours, unless it is asked for again', () => {
    const book = bookOf();
    const eternal = addressOf('a', 1_000_000);
    served(book, eternal);
    expect(book.nextWake()).toBe(120 * MINUTE);
    book.requested([eternal], 60 * MINUTE, wall + 60 * MINUTE);
    expect(book.wake(120 * MINUTE)).toEqual([]);
    expect(book.nextWake()).toBe(180 * MINUTE);
  });

  it('takes up again what a former master has left, from the name alone', () => {
    const book = bookOf();
    expect(book.found(a, 0, wall)).toEqual([{ do: 'serve', queue: a, origin: 'west' }]);
    expect(book.found(a, 1, wall)).toEqual([]);
    expect(book.requested([a], 2, wall)).toEqual({ effects: [], awaited: [], crowded: 0 });
  });

  it('does not serve twice a queue that the watch tells of while it is declared', () => {
    const book = bookOf();
    book.requested([a], 0, wall);
    expect(book.found(a, 1, wall)).toEqual([]);
    expect(book.declared(a)).toHaveLength(1);
  });

  it('makes a queue anew that somebody has deleted, as long as it is in use', () => {
    const book = bookOf();
    served(book, a);
    expect(book.gone(a, 1)).toEqual([{ do: 'declare', queue: a, expiresMs: 60 * MINUTE }]);
    expect(book.gone(a, 2)).toEqual([]);
    expect(book.requested([a], 3, wall).awaited).toEqual([a]);
    expect(book.declared(a)).toHaveLength(1);
    expect(book.gone(b, 4)).toEqual([]);
  });

  it('tries again with the next request when a queue could not be declared', () => {
    const book = bookOf();
    book.requested([a], 0, wall);
    book.failed(a);
    expect(book.declared(a)).toEqual([]);
    expect(book.requested([a], 1, wall).effects).toHaveLength(1);
  });

  it('lets go of the address that was unused for longest when there is no room for a new one', () => {
    const book = bookOf({ largest: 2 });
    served(book, a, b);
    book.replied(a);
    const c = addressOf('c');
    const { effects, awaited } = book.requested([c], 1, wall);
    expect(effects).toEqual([
      { do: 'release', queue: b },
      { do: 'declare', queue: c, expiresMs: 60 * MINUTE },
    ]);
    expect(awaited).toEqual([c]);
    expect(book.size).toBe(2);
  });

  it('lets go of none that the same batch needs: what finds no room is delivered without', () => {
    const book = bookOf({ largest: 2 });
    served(book, a);
    const { effects, awaited, crowded } = book.requested([a, b, addressOf('c')], 1, wall);
    expect(effects).toEqual([{ do: 'declare', queue: b, expiresMs: 60 * MINUTE }]);
    expect([awaited, crowded]).toEqual([[b], 1]);
  });

  it('serves every queue between its declaration and its release, and never more than its bound', () => {
    const queues = Array.from({ length: 6 }, (_, i) => addressOf(`q${i}`, 10 + i));
    const queue = fc.constantFrom(...queues);
    const event = fc.oneof(
      fc.record({ is: fc.constant('requested' as const), batch: fc.array(queue, { maxLength: 4 }) }),
      fc.record({ is: fc.constantFrom('declared', 'failed', 'found', 'gone', 'replied'), queue }),
      fc.record({ is: fc.constant('passed' as const), ms: fc.nat(5 * MINUTE) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const book = bookOf({ largest: 3 });
        const declaring = new Set<string>();
        const serving = new Set<string>();
        let now = 0;
        const obey = (effects: readonly ReplyEffect[]) => {
          for (const effect of effects) {
            if (effect.do === 'declare') {
              expect(declaring.has(effect.queue)).toBe(false);
              declaring.add(effect.queue);
            } else if (effect.do === 'serve') {
              expect(serving.has(effect.queue)).toBe(false);
              serving.add(effect.queue);
            } else expect(serving.delete(effect.queue)).toBe(true);
          }
        };
        for (const each of events) {
          if ('batch' in each) {
            const { effects, awaited } = book.requested(each.batch, now, wall + now);
            obey(effects);
            for (const awaiting of awaited) expect(declaring.has(awaiting)).toBe(true);
          } else if ('ms' in each) {
            now += each.ms;
            obey(book.wake(now));
          } else if (each.is === 'declared' && declaring.delete(each.queue)) obey(book.declared(each.queue));
          else if (each.is === 'failed' && declaring.delete(each.queue)) book.failed(each.queue);
          else if (each.is === 'found') obey(book.found(each.queue, now, wall + now));
          else if (each.is === 'gone') {
            const effects = book.gone(each.queue, now);
            if (effects.length > 0) expect(serving.delete(each.queue)).toBe(true);
            obey(effects);
          } else if (each.is === 'replied') book.replied(each.queue);
          expect(book.size).toBe(declaring.size + serving.size);
          expect(book.size).toBeLessThanOrEqual(3);
        }
        for (const queue of declaring) obey(book.declared(queue));
        while (book.nextWake() < Number.POSITIVE_INFINITY) obey(book.wake(book.nextWake()));
        expect([book.size, serving.size]).toEqual([0, 0]);
      }),
    );
  });
});
