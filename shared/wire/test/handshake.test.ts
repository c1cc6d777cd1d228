import { decodeGreeting, encodeGreeting, type Refusal } from '@tombolo/wire/greeting';
import {
  dial,
  type HandshakeEffect,
  type HandshakeState,
  type KnownPeer,
  listen,
  received,
  type Self,
  type Surroundings,
  timedOut,
} from '@tombolo/wire/handshake';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface Side {
  self?: Partial<Self>;
  peers?: Record<string, KnownPeer>;
  standby?: boolean;
  admit?: Refusal;
}

let nonces = 0;
function selfOf(cluster: string, partial: Partial<Self> = {}): Self {
  return {
    network: 'acme',
    cluster,
    instance: `${cluster}-0`,
    life: 'life',
    attempt: 1,
    incarnation: 5,
    versions: [1, 1],
    nonce: new Uint8Array(32).fill(++nonces),
    ...partial,
  };
}

function around({ peers, standby, admit }: Side, other: string): Surroundings {
  const known = peers ?? { [other]: { secrets: ['s3cret'], seenIncarnation: 0 } };
  return {
    peer: (cluster) => known[cluster],
    accepting: () => (standby ? 'standby' : 'master'),
    admit: () => admit,
  };
}

/** Runs both sides until nothing moves; what each had to do besides sending. */
function shake(west: Side = {}, east: Side = {}) {
  const surroundings = [around(west, 'east'), around(east, 'west')] as const;
  const ends: Exclude<HandshakeEffect, { do: 'send' }>[][] = [[], []];
  const wire: { to: 0 | 1; bytes: Uint8Array }[] = [];
  const states: [HandshakeState, HandshakeState] = [{ is: 'over' }, listen(selfOf('east', east.self))];
  const take = (side: 0 | 1, [state, effects]: readonly [HandshakeState, readonly HandshakeEffect[]]) => {
    states[side] = state;
    for (const effect of effects) {
      if (effect.do === 'send') wire.push({ to: side === 0 ? 1 : 0, bytes: effect.bytes });
      else ends[side]!.push(effect);
    }
  };
  take(0, dial(selfOf('west', west.self), 'east', surroundings[0]));
  const sent: Uint8Array[] = [];
  for (let next = wire.shift(); next; next = wire.shift()) {
    sent.push(next.bytes);
    take(next.to, received(states[next.to], next.bytes, surroundings[next.to]));
  }
  return { west: ends[0]!, east: ends[1]!, sent };
}

const reasonOf = (effects: readonly HandshakeEffect[]) =>
  effects.flatMap((effect) => (effect.do === 'refuse' ? [effect.refusal.reason] : []));

describe('the handshake', () => {
  it('lets both in when they share a secret', () => {
    const { west, east } = shake();
    expect(west).toMatchObject([{ do: 'accept', peer: { cluster: 'east', instance: 'east-0' }, version: 1 }]);
    expect(east).toMatchObject([{ do: 'accept', peer: { cluster: 'west' }, version: 1 }]);
  });

  it('never sends a secret', () => {
    for (const bytes of shake().sent) expect(Buffer.from(bytes).includes('s3cret')).toBe(false);
  });

  it.each<[string, Side, Side]>([
    ['network', { self: { network: 'other' } }, {}],
    ['unknown_cluster', {}, { peers: {} }],
    ['unknown_cluster', { self: { cluster: 'north' } }, {}],
    ['identity', {}, { self: { cluster: 'west' } }],
    ['identity', {}, { self: { cluster: 'north' } }],
    ['version', { self: { versions: [2, 3] } }, {}],
    ['secret', {}, { peers: { west: { secrets: ['other'], seenIncarnation: 0 } } }],
    ['standby', {}, { standby: true }],
    ['stale_incarnation', {}, { peers: { west: { secrets: ['s3cret'], seenIncarnation: 6 } } }],
    ['stale_incarnation', { peers: { east: { secrets: ['s3cret'], seenIncarnation: 6 } } }, {}],
    ['duplicate', {}, { admit: { reason: 'duplicate', sentence: 'There is a link already.' } }],
    ['duplicate', { admit: { reason: 'duplicate', sentence: 'There is a link already.' } }, {}],
  ])('refuses for %s, and both sides can say why', (reason, one, other) => {
    const { west, east } = shake(one, other);
    expect(reasonOf(west)).toEqual([reason]);
    const eastAccepted = east.some((effect) => effect.do === 'accept');
    expect(reasonOf(east)).toEqual(eastAccepted ? [] : [reason]);
  });

  it('takes the highest version that both speak', () => {
    const { west, east } = shake({ self: { versions: [1, 3] } }, { self: { versions: [2, 4] } });
    expect(west).toMatchObject([{ version: 3 }]);
    expect(east).toMatchObject([{ version: 3 }]);
  });

  it('lets a secret be changed without a gap: each side lists the new and the old one', () => {
    const peers = (cluster: string, ...secrets: string[]) => ({
      peers: { [cluster]: { secrets, seenIncarnation: 0 } },
    });
    for (const [west, east] of [
      [['old'], ['old', 'new']],
      [
        ['old', 'new'],
        ['new', 'old'],
      ],
      [
        ['new', 'old'],
        ['old', 'new'],
      ],
      [['new'], ['new', 'old']],
    ] as const) {
      const ends = shake(peers('east', ...west), peers('west', ...east));
      expect(ends.west).toMatchObject([{ do: 'accept' }]);
      expect(ends.east).toMatchObject([{ do: 'accept' }]);
    }
  });

  it('tells a side whose incarnation is behind what has been seen of it, once the teller is proved', () => {
    const { west } = shake({}, { peers: { west: { secrets: ['s3cret'], seenIncarnation: 9 } } });
    expect(west[0]).toEqual({ do: 'report-seen', peer: 'east', incarnation: 9 });
    const stranger = shake({}, { peers: { west: { secrets: ['other'], seenIncarnation: 9 } } });
    expect(stranger.west.some((effect) => effect.do === 'report-seen')).toBe(false);
  });

  it('is not fooled by its own words played back', () => {
    const surroundings = around({}, 'east');
    const [state, effects] = dial(selfOf('west'), 'east', surroundings);
    const hello = effects[0]!.do === 'send' ? effects[0]!.bytes : new Uint8Array();
    expect(reasonOf(received(state, hello, surroundings)[1])).toEqual(['identity']);

    // A listener without the secret claims to be east and gives the dialler's own proof back.
    const forged = encodeGreeting({ is: 'hello', hello: { ...selfOf('east'), to: 'west', seenIncarnation: 0 } });
    const [waiting, proofs] = received(state, forged, surroundings);
    const proof = proofs[0]!.do === 'send' ? proofs[0]!.bytes : new Uint8Array();
    expect(decodeGreeting(proof).is).toBe('proof');
    expect(reasonOf(received(waiting, proof, surroundings)[1])).toEqual(['secret']);
  });

  it('is not fooled by a proof of an earlier connection', () => {
    const proof = shake().sent[2]!;
    const surroundings = around({}, 'west');
    const hello = encodeGreeting({ is: 'hello', hello: { ...selfOf('west'), to: 'east', seenIncarnation: 0 } });
    const [waiting] = received(listen(selfOf('east')), hello, surroundings);
    expect(reasonOf(received(waiting, proof, surroundings)[1])).toEqual(['secret']);
  });

  it('proves nothing to a dialler that has not proved itself', () => {
    const { sent } = shake({ peers: { east: { secrets: ['guess'], seenIncarnation: 0 } } });
    expect(sent.map((bytes) => decodeGreeting(bytes).is)).toEqual(['hello', 'hello', 'proof', 'refusal']);
  });

  it('answers anything else with a refusal, never by throwing', () => {
    const hello = encodeGreeting({ is: 'hello', hello: { ...selfOf('west'), to: 'east', seenIncarnation: 0 } });
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(3), (at, value, cut) => {
        const bytes = Uint8Array.from(hello).subarray(0, hello.length - cut);
        bytes[at % bytes.length] = value;
        received(listen(selfOf('east')), bytes, around({}, 'west'));
      }),
    );
    const large = new Uint8Array(17 * 1024);
    expect(reasonOf(received(listen(selfOf('east')), large, around({}, 'west'))[1])).toEqual(['protocol']);
  });

  it('ends when time is out', () => {
    const [state, effects] = timedOut(listen(selfOf('east')));
    expect(state.is).toBe('over');
    expect(reasonOf(effects)).toEqual(['timeout']);
  });
});
