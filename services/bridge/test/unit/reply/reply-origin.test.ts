import { replyTo } from '@tombolo/wire/properties';
import { replyAddressOf } from '@tombolo/wire/reply-address';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { directReplyQueue, isDirectReply, isSoundDirectReply } from '../../../src/reply/direct-reply.ts';
import { dropOf, ReplyOrigin, type ReplyOriginOptions } from '../../../src/reply/reply-origin.ts';

const MINUTE = 60_000;
const noon = Date.UTC(2030, 0, 1, 12);
/** As RabbitMQ 3.10.8 delivered it. */
const direct = 'amq.rabbitmq.reply-to.g1h2AA5yZXBseUA0MjkyMzQ0NAAAAy0AAAAAawNDHA==.oV6Q+xN5j6Br035PbRmHlQ==';

const originOf = (changes: Partial<ReplyOriginOptions> = {}) =>
  new ReplyOrigin({ network: 'acme', cluster: 'west', secrets: ['s3cret'], ...changes });
const rewrite = (origin: ReplyOrigin, address: string, now = noon) => origin.rewriter(now)(address)!;

/** The properties of a message that has nothing but a reply-to. */
const withAddress = (address: string) =>
  Buffer.concat([Buffer.of(0x02, 0x00, Buffer.byteLength(address)), Buffer.from(address)]);

describe("the origin's side of request and reply", () => {
  it('gives a requester back the address that it wrote, whatever it is called and however long it is', () => {
    const origin = originOf({ cluster: `w${'e'.repeat(61)}st` });
    const address = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 }).filter((each) => {
      return Buffer.byteLength(each) <= 255 && !each.startsWith('tombolo.') && !isDirectReply(each);
    });
    fc.assert(
      fc.property(address, (each) => {
        const name = rewrite(origin, each);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(origin.judge(name, noon)).toEqual({ is: 'ok', address: each, direct: false });
      }),
    );
  });

  it('makes the same address for all requests of one requester within half an hour, on every bridge of the cluster', () => {
    const first = originOf();
    const name = rewrite(first, 'amq.gen-1', noon + 1);
    expect(rewrite(first, 'amq.gen-1', noon + 30 * MINUTE)).toBe(name);
    expect(rewrite(originOf(), 'amq.gen-1', noon + 10 * MINUTE)).toBe(name);
    expect(rewrite(first, 'amq.gen-1', noon + 30 * MINUTE + 1)).not.toBe(name);
    expect(rewrite(first, 'amq.gen-2', noon + 1)).not.toBe(name);
  });

  it('makes addresses that are valid for 30 to 60 minutes, and no longer', () => {
    fc.assert(
      fc.property(fc.nat(24 * 60 * MINUTE), (after) => {
        const origin = originOf();
        const now = noon + after;
        const name = rewrite(origin, 'amq.gen-1', now);
        expect(origin.judge(name, now + 30 * MINUTE - 1).is).toBe('ok');
        expect(origin.judge(name, now + 60 * MINUTE)).toEqual({ is: 'expired' });
      }),
    );
  });

  it('lets direct replies through when the broker can decode them, and says that they are direct', () => {
    const origin = originOf();
    expect(origin.judge(rewrite(origin, direct), noon)).toEqual({ is: 'ok', address: direct, direct: true });
  });

  it('rewrites what a client made up as a direct reply, so that it harms no replier, and publishes to none of it', () => {
    const origin = originOf();
    for (const madeUp of ['amq.rabbitmq.reply-to.a.b', `${direct}.x`, direct.replace('g1h2', 'g1h3')]) {
      const name = rewrite(origin, madeUp);
      expect(replyAddressOf(name)?.origin).toBe('west');
      expect(origin.judge(name, noon)).toEqual({ is: 'unsound' });
    }
  });

  it("keeps the reply address that a request has already, and every other name that is a bridge's own", () => {
    const west = originOf();
    const name = rewrite(west, 'amq.gen-1');
    const rewriter = originOf({ cluster: 'mid' }).rewriter(noon);
    expect(rewriter(name)).toBeUndefined();
    expect(west.rewriter(noon)(name)).toBeUndefined();
    expect(rewriter('tombolo.dead-letters')).toBeUndefined();
  });

  it('says whose reply it is when it is not its own', () => {
    const name = rewrite(originOf(), 'amq.gen-1');
    expect(originOf({ cluster: 'east' }).judge(name, noon)).toEqual({ is: 'not-ours', origin: 'west' });
  });

  it('publishes to nothing that it has not signed', () => {
    const name = rewrite(originOf({ secrets: ['another'] }), 'payroll');
    expect(originOf().judge(name, noon)).toEqual({ is: 'forged' });
    expect(originOf().judge('payroll', noon)).toEqual({ is: 'forged' });
    expect(originOf().judge('tombolo.reply.west.payroll', noon)).toEqual({ is: 'forged' });
  });

  it('forgets long addresses with a restart, and knows them again with the next request of the same requester', () => {
    const long = 'q'.repeat(250);
    const name = rewrite(originOf(), long);
    const restarted = originOf();
    expect(restarted.judge(name, noon)).toEqual({ is: 'unknown' });
    rewrite(restarted, long, noon + 40 * MINUTE);
    expect(restarted.judge(name, noon)).toEqual({ is: 'ok', address: long, direct: false });
  });

  it('forgets the long address that was unused for longest when there are too many', () => {
    const origin = originOf({ largest: 2 });
    const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(250)) as [string, string, string];
    const names = [a, b, a, c].map((address) => rewrite(origin, address));
    expect(names.map((name) => origin.judge(name, noon).is)).toEqual(['ok', 'unknown', 'ok', 'ok']);
  });

  it('restores the reply-to of a request that has come home, expired or not, and of no other', () => {
    const origin = originOf();
    const name = rewrite(origin, direct);
    expect(replyTo(origin.restored(withAddress(name)))).toBe(direct);
    const forged = withAddress(rewrite(originOf({ secrets: ['another'] }), 'payroll'));
    expect(origin.restored(forged)).toBe(forged);
    const foreign = withAddress(rewrite(originOf({ cluster: 'east' }), 'amq.gen-1'));
    expect(origin.restored(foreign)).toBe(foreign);
    // The broker would close the channel of a publisher that does not consume it.
    const bare = withAddress(rewrite(origin, directReplyQueue));
    expect(origin.restored(bare)).toBe(bare);
  });

  it('counts what it drops under four reasons', () => {
    expect(dropOf({ is: 'expired' })).toBe('expired');
    expect(dropOf({ is: 'forged' })).toBe('forged');
    expect(dropOf({ is: 'unknown' })).toBe('unroutable');
    expect(dropOf({ is: 'unsound' })).toBe('unroutable');
    expect(dropOf({ is: 'not-ours', origin: 'east' })).toBe('unroutable');
  });
});

describe('an address of a direct reply', () => {
  const channel = (...parts: (number[] | string)[]) =>
    `amq.rabbitmq.reply-to.${Buffer.concat(parts.map((part) => Buffer.from(part as string))).toString('base64')}.key`;
  const ids = [0, 0, 3, 45, 0, 0, 0, 0, 107, 3, 67, 28];

  it.each<[string, string]>([
    ['as delivered', direct],
    ['of a short atom', channel([131, 88, 119, 9], 'reply@123', ids)],
    ['of an older Erlang', channel([131, 103, 118, 0, 9], 'reply@123', ids.slice(0, 9))],
  ])('is sound %s', (_, address) => {
    expect(isSoundDirectReply(address)).toBe(true);
  });

  it.each<[string, string]>([
    ['without a key', direct.slice(0, direct.lastIndexOf('.'))],
    ['with an empty key', direct.slice(0, direct.lastIndexOf('.') + 1)],
    ['with more behind the key', `${direct}.x`],
    ['with a dot too many', direct.replace('reply-to.', 'reply-to..')],
    ['that is no base64', 'amq.rabbitmq.reply-to.%%%.x'],
    ['that is base64 without its padding', direct.replace('==.', '.')],
    ['that is cut off', channel([131, 88, 118, 0, 9], 'reply@123', ids.slice(1))],
    ['that goes on', channel([131, 88, 118, 0, 9], 'reply@123', [...ids, 0])],
    ['of a node with a name', channel([131, 88, 118, 0, 10], 'rabbit@abc', ids)],
    ['of an atom of another encoding', channel([131, 88, 100, 0, 9], 'reply@123', ids)],
    ['of another term', channel([131, 109, 0, 0, 0, 1], 'x')],
    ['of nothing', 'amq.rabbitmq.reply-to..'],
  ])('is not sound %s', (_, address) => {
    expect(isSoundDirectReply(address)).toBe(false);
  });

  it('is judged without failing, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.string(), (bytes, key) => {
        isSoundDirectReply(`amq.rabbitmq.reply-to.${Buffer.from(bytes).toString('base64')}.${key}`);
        isSoundDirectReply(`amq.rabbitmq.reply-to.${Buffer.from([131, 88, 118, ...bytes]).toString('base64')}.${key}`);
      }),
    );
  });
});
