import { describe, expect, it } from 'vitest';
import { leaksIn, secretOf } from '../src/canary.ts';

/** Never as one word in this file's own output: it is looked through, too. */
const secret = secretOf('x');

describe('secrets of the tests are recognised', () => {
  it.each([0, 1, 2, 3, 4, 5])('in base64 behind a user name of %s letters', (letters) => {
    const header = Buffer.from(`${'u'.repeat(letters)}:${secret}`).toString('base64');
    expect(leaksIn(`fine\nauthorization: Basic ${header}\nfine`).length).toBe(1);
  });

  it('as they are, in a URI, and as a private key', () => {
    expect(leaksIn(`amqp://u:${secret}@host`).length).toBe(1);
    expect(leaksIn(JSON.stringify({ key: `-----BEGIN ${'PRIVATE'} KEY-----\nMIG` })).length).toBe(1);
  });

  it('and nothing else is', () => {
    expect(leaksIn('password: ***\n-----BEGIN CERTIFICATE-----\nnot to be seen')).toEqual([]);
  });
});
