import {
  compileRegex,
  compileWildcard,
  covers,
  hasLiteralWildcard,
  isExact,
  matches,
  overlaps,
} from '@tombolo/topology/pattern';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** ActiveMQ's wildcards, as slowly and as plainly as they can be written down. */
function naive(pattern: string[], name: string[]): boolean {
  if (pattern.length > 0 && pattern.every((word) => word === '>')) return true;
  if (pattern.length === 0 || name.length === 0) return pattern.length === name.length;
  return (pattern[0] === '*' || pattern[0] === name[0]) && naive(pattern.slice(1), name.slice(1));
}

const word = fc.constantFrom('', 'a', 'b', 'a*', '>b');
const name = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('.'));
const pattern = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('*')), { maxLength: 4 }), fc.array(fc.constant('>'), { maxLength: 2 }))
  .map(([words, rest]) => [...words, ...rest])
  .filter((words) => words.length > 0)
  .map((words) => words.join('.'));

describe('wildcards', () => {
  it.each([
    ['orders', 'orders', true],
    ['orders', 'orders.eu', false],
    ['orders.*', 'orders.eu', true],
    ['orders.*', 'orders', false],
    ['orders.*', 'orders.eu.new', false],
    ['a.*.c', 'a.b.c', true],
    ['a.*.c', 'a.b.b.c', false],
    ['orders.>', 'orders.eu', true],
    ['orders.>', 'orders.eu.new', true],
    ['orders.>', 'orders', true],
    ['orders.>', 'ordersx', false],
    ['orders.*.>', 'orders.eu', true],
    ['orders.*.>', 'orders', false],
    ['orders.>.>', 'orders', true],
    ['>', '', true],
    ['>', 'anything.at all', true],
    ['*', 'one', true],
    ['*', 'one.two', false],
    ['orders-*', 'orders-eu', false],
    ['a.>.b', 'a.x.b', false],
  ])('%s means %s: %s, as in ActiveMQ', (written, destination, meant) => {
    expect(compileWildcard(written)(destination)).toBe(meant);
  });

  it('agree with a naive matcher on any pattern and any name', () => {
    fc.assert(
      fc.property(pattern, name, (written, destination) => {
        expect(compileWildcard(written)(destination)).toBe(naive(written.split('.'), destination.split('.')));
      }),
      { numRuns: 5000 },
    );
  });

  it('that cover another mean every name that the other means', () => {
    fc.assert(
      fc.property(pattern, pattern, name, (outer, inner, destination) => {
        fc.pre(covers(outer, inner) && compileWildcard(inner)(destination));
        expect(compileWildcard(outer)(destination)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('cover what is plainly inside them, and nothing that sticks out', () => {
    expect(covers('orders.>', 'orders.*.new')).toBe(true);
    expect(covers('*.>', '>')).toBe(true);
    expect(covers('>', 'a')).toBe(true);
    expect(covers('orders.*', 'orders.>')).toBe(false);
    expect(covers('orders.local.>', 'orders.>')).toBe(false);
    expect(covers('orders', 'orders')).toBe(true);
  });

  it('overlap when there is a name that both mean, and only then', () => {
    // Words that no pattern writes out stand for whatever only `*` and `>` take.
    const names = ['', 'a', 'b', 'x'];
    const paths = names.flatMap((one) => [
      one,
      ...names.flatMap((two) => [`${one}.${two}`, ...names.map((three) => `${one}.${two}.${three}`)]),
    ]);
    const plain = fc.oneof(fc.constantFrom('', 'a', 'b', '*'));
    const short = fc
      .tuple(fc.array(plain, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([words, open]) => [...words, ...(open ? ['>'] : [])].join('.'));
    fc.assert(
      fc.property(short, short, (one, other) => {
        const [meantByOne, meantByOther] = [compileWildcard(one), compileWildcard(other)];
        expect(overlaps(one, other)).toBe(paths.some((path) => meantByOne(path) && meantByOther(path)));
      }),
      { numRuns: 2000 },
    );
    expect(overlaps('>', 'a.b')).toBe(true);
    expect(overlaps('>', '>')).toBe(true);
  });

  it('are told from exact names and from ordinary characters', () => {
    expect(['orders', 'a.b', 'orders-*'].map(isExact)).toEqual([true, true, true]);
    expect(['>', 'a.*', 'a.*.b', 'a.>'].map(isExact)).toEqual([false, false, false, false]);
    expect(['orders-*', 'a.>.b', 'a>'].map(hasLiteralWildcard)).toEqual([true, true, true]);
    expect(['a.*', 'a.>', 'a.>.>', '*.b'].map(hasLiteralWildcard)).toEqual([false, false, false, false]);
  });
});

describe('regular expressions', () => {
  it('are found anywhere unless anchored', () => {
    expect(compileRegex('^orders[-_]')!('orders-eu')).toBe(true);
    expect(compileRegex('^orders[-_]')!('my-orders-eu')).toBe(false);
    expect(compileRegex('eu$')!('orders-eu')).toBe(true);
  });

  it('that RE2 refuses are refused, because they need more than linear time', () => {
    expect(compileRegex('(?=a)')).toBeUndefined();
    expect(compileRegex('(a)\\1')).toBeUndefined();
    expect(compileRegex('(')).toBeUndefined();
  });

  it('that make a backtracking engine hang are answered at once', () => {
    const matcher = compileRegex('^(a+)+$')!;
    const started = performance.now();
    expect(matcher(`${'a'.repeat(255)}!`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('mean queues, by the entry that holds them', () => {
    expect(matches({ kind: 'queueRegex', pattern: '^a' }, 'abc')).toBe(true);
    expect(matches({ kind: 'queueRegex', pattern: '(' }, 'abc')).toBe(false);
  });
});
