import { describe, expect, it } from 'vitest';
import { ReplyLanding } from '../../../src/reply/reply-landing.ts';
import { ReplyOrigin, replyValidMs } from '../../../src/reply/reply-origin.ts';

const noon = Date.UTC(2030, 0, 1, 12);
/** As RabbitMQ 3.10.8 delivered it. */
const direct = 'amq.rabbitmq.reply-to.g1h2AA5yZXBseUA0MjkyMzQ0NAAAAy0AAAAAawNDHA==.oV6Q+xN5j6Br035PbRmHlQ==';
const transient = Buffer.of(0x10, 0x00, 0x01);
const persistent = Buffer.of(0x10, 0x00, 0x02);

function landing() {
  const origin = new ReplyOrigin({ network: 'acme', cluster: 'west', secrets: ['s3cret'] });
  const dropped: Record<string, number> = {};
  let now = noon;
  const counts = {
    repliesDropped: (reason: string, n: number) => {
      dropped[reason] = (dropped[reason] ?? 0) + n;
    },
  };
  return {
    its: new ReplyLanding(origin, counts, () => now),
    dropped,
    to: (address: string) => ({ kind: 'reply' as const, name: origin.rewriter(noon)(address)! }),
    later: (ms: number) => {
      now += ms;
    },
  };
}

const message = (properties: Uint8Array) => ({
  ...{ sequence: 7, redelivered: false, resent: false, digest: new Uint8Array(16), hasId: false },
  ...{ exchange: '', routingKey: 'somewhere', properties, body: Buffer.from('answer') },
});

describe('the landing of replies at their origin', () => {
  it('publishes to the address that the requester wrote', () => {
    const { its, to, dropped } = landing();
    const publication = {
      id: 7,
      exchange: '',
      routingKey: 'amq.gen-1',
      properties: transient,
      body: expect.anything(),
    };
    expect(its.publication(to('amq.gen-1'), message(transient))).toEqual(publication);
    expect(its.isolated(to('amq.gen-1'))).toBe(false);
    expect(dropped).toEqual({});
  });

  it('takes a reply whose requester has gone, and counts it as late', () => {
    const { its, to, dropped } = landing();
    expect(its.outcome(to('amq.gen-1'), 'returned', 3)).toBe('confirmed');
    expect(dropped).toEqual({ late: 3 });
  });

  it('publishes direct replies apart from all others, and takes one that the broker ends the connection for', () => {
    const { its, to, dropped } = landing();
    expect(its.isolated(to(direct))).toBe(true);
    expect(its.outcome(to(direct), 'poison', 1)).toBe('confirmed');
    expect(its.outcome(to('amq.gen-1'), 'poison', 1)).toBe('poison');
    expect(dropped).toEqual({ unroutable: 1 });
  });

  it('leaves to the stream what may succeed later', () => {
    const { its, to } = landing();
    for (const address of [direct, 'amq.gen-1'])
      for (const outcome of ['confirmed', 'refused', 'unknown'] as const)
        expect(its.outcome(to(address), outcome, 1)).toBe(outcome);
  });

  it('takes and counts what was sent to an address that nobody signed, or that is of another cluster', () => {
    const { its, dropped } = landing();
    const forger = new ReplyOrigin({ network: 'acme', cluster: 'west', secrets: ['other'] });
    const other = new ReplyOrigin({ network: 'acme', cluster: 'north', secrets: ['s3cret'] });
    for (const origin of [forger, other]) {
      const destination = { kind: 'reply' as const, name: origin.rewriter(noon)('amq.gen-1')! };
      expect(its.publication(destination, message(persistent))).toMatchObject({ outcome: 'confirmed' });
    }
    expect(dropped).toEqual({ forged: 1, unroutable: 1 });
  });

  it('drops a transient reply to an expired address, and has a persistent one parked', () => {
    const { its, to, later, dropped } = landing();
    later(2 * replyValidMs);
    expect(its.publication(to('amq.gen-1'), message(transient))).toMatchObject({ outcome: 'confirmed' });
    expect(its.publication(to('amq.gen-1'), message(persistent))).toMatchObject({ outcome: 'poison' });
    expect(dropped).toEqual({ expired: 1 });
  });
});
