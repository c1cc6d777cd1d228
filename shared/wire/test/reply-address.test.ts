import {
  isSignedReplyAddress,
  longestAddress,
  type ReplyAddress,
  replyAddressOf,
  replyKeyOf,
  replyKeys,
  signedReplyAddress,
} from '@tombolo/wire/reply-address';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const own = { network: 'acme', cluster: 'west', secrets: ['s3cret'] };
const keys = replyKeys(own);
const cluster = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/);
const minute = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((minutes) => minutes * 60_000);
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 });
const address = text.filter((each) => Buffer.byteLength(each) <= 111);
const gen = { origin: 'west', expiresAt: 60_000, target: { address: 'amq.gen-FzrrXMPwCyDANfQWBpgA_Q' } };

describe('a reply address', () => {
  it('says who is to be answered, where, and until when, as it was signed', () => {
    fc.assert(
      fc.property(cluster, minute, address, (origin, expiresAt, of) => {
        const said: ReplyAddress = { origin, expiresAt, target: { address: of } };
        const name = signedReplyAddress(keys, said)!;
        expect(replyAddressOf(name)).toEqual(said);
        expect(isSignedReplyAddress(name, keys)).toBe(true);
        expect(signedReplyAddress(keys, said)).toBe(name);
      }),
    );
  });

  it('fits into a short string, or is not made: 111 bytes fit whatever the cluster is called', () => {
    fc.assert(
      fc.property(cluster, fc.integer({ min: 1, max: 255 }), (origin, length) => {
        const said = { origin, expiresAt: 0, target: { address: 'q'.repeat(length) } };
        const name = signedReplyAddress(keys, said);
        if (name === undefined) expect(length).toBeGreaterThan(111);
        else expect(Buffer.byteLength(name)).toBeLessThanOrEqual(longestAddress);
        const key = replyKeyOf(keys, said.target.address);
        const short = signedReplyAddress(keys, { origin, expiresAt: 0, target: { key } })!;
        expect(short.length).toBeLessThan(130);
        expect(replyAddressOf(short)?.target).toEqual({ key });
        expect(isSignedReplyAddress(short, keys)).toBe(true);
      }),
    );
  });

  it('is refused when a single character of it is another one, is missing or is added', () => {
    fc.assert(
      fc.property(cluster, address, fc.nat(), fc.string({ maxLength: 2 }), fc.nat(1), (origin, of, at, put, cut) => {
        const name = signedReplyAddress(keys, { origin, expiresAt: 60_000, target: { address: of } })!;
        const from = at % (name.length + 1);
        const tampered = name.slice(0, from) + put + name.slice(from + cut);
        fc.pre(tampered !== name);
        expect(isSignedReplyAddress(tampered, keys)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each<[string, (name: string) => string]>([
    ['padded', (name) => `${name}=`],
    ['in the other alphabet of base64', (name) => name.replaceAll('-', '+').replaceAll('_', '/')],
    ['followed by what a decoder skips', (name) => `${name}\n`],
    ['with other bits behind its last byte', (name) => name.slice(0, -1) + (name.endsWith('A') ? 'B' : 'A')],
  ])('has one spelling only: it is refused when it is %s', (_, spell) => {
    const spellings = Array.from({ length: 20 }, (_, i) => {
      return signedReplyAddress(keys, { ...gen, target: { address: `${'ÿ'.repeat(10)}${'q'.repeat(i)}` } })!;
    });
    const altered = spellings.filter((name) => spell(name) !== name);
    expect(altered.length).toBeGreaterThan(0);
    for (const name of altered) expect(isSignedReplyAddress(spell(name), keys)).toBe(false);
  });

  it('is refused when another cluster, network or secret signed it', () => {
    const name = signedReplyAddress(keys, gen)!;
    for (const other of [{ cluster: 'east' }, { network: 'other' }, { secrets: ['another'] }, { secrets: [] }]) {
      expect(isSignedReplyAddress(name, replyKeys({ ...own, ...other }))).toBe(false);
    }
  });

  it('outlives the replacement of a secret, as long as the old one is listed', () => {
    const name = signedReplyAddress(keys, gen)!;
    const both = replyKeys({ ...own, secrets: ['newer', 's3cret'] });
    expect(isSignedReplyAddress(name, both)).toBe(true);
    expect(signedReplyAddress(both, gen)).not.toBe(name);
    expect(isSignedReplyAddress(name, replyKeys({ ...own, secrets: ['newer'] }))).toBe(false);
  });

  it('is made without any secret too, the same by every bridge of the cluster', () => {
    const open = replyKeys({ ...own, secrets: [] });
    const name = signedReplyAddress(open, gen)!;
    expect(isSignedReplyAddress(name, replyKeys({ ...own, secrets: [] }))).toBe(true);
    expect(isSignedReplyAddress(name, replyKeys({ ...own, cluster: 'east', secrets: [] }))).toBe(false);
  });

  it('is found in no other name', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom('', 'tombolo.', 'tombolo.reply.', 'tombolo.reply.west.'),
        (rest, lead) => {
          const said = replyAddressOf(lead + rest);
          if (said) expect(lead + rest).toMatch(/^tombolo\.reply\..+\.[\w-]+$/);
          expect(isSignedReplyAddress(lead + rest, keys)).toBe(false);
        },
      ),
      { numRuns: 1_000 },
    );
    expect(replyAddressOf('tombolo.replywest')).toBeUndefined();
    expect(replyAddressOf('tombolo.reply.west.')).toBeUndefined();
  });
});
