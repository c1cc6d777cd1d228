import { expect, test } from 'vitest';
import { type Delivery, judge } from './outcome.ts';

function seen(...numbers: readonly (number | [number, 'again'])[]): Delivery[] {
  return numbers.map((each, index) => {
    const [number, flag] = typeof each === 'number' ? [each] : each;
    return { number, redelivered: flag !== undefined, at: index * 10 };
  });
}

function judged(confirmed: readonly number[], deliveries: readonly Delivery[], rest = {}) {
  return judge({ confirmed: new Set(confirmed), attempted: 10, deliveries, destroyed: 0, left: 0, ...rest });
}

test('each message once: nothing lost, nothing doubled', () => {
  const expected = {
    published: 3,
    lost: 0,
    destroyed: 0,
    duplicated: 0,
    doubledOnTheWay: 0,
    redelivered: 0,
    longestGapMs: 10,
  };
  expect(judged([0, 1, 2], seen(0, 1, 2))).toEqual(expected);
});

test('what was confirmed and never came is lost; what was never confirmed may come or not', () => {
  expect(judged([0, 1, 2], seen(0, 2))).toMatchObject({ lost: 1, duplicated: 0 });
  expect(judged([0, 1, 2], seen(0, 1, 2, 3))).toMatchObject({ lost: 0, duplicated: 0 });
});

test('what was destroyed on purpose is not lost, but no more than that', () => {
  expect(judged([0, 1, 2, 3], seen(0), { destroyed: 2 })).toMatchObject({ lost: 1 });
});

test('a second copy is a duplicate however it comes; only what the broker cannot have brought back was doubled on the way', () => {
  expect(judged([0], seen(0, 0))).toMatchObject({ duplicated: 1, doubledOnTheWay: 1 });
  expect(judged([0], seen(0, [0, 'again']))).toMatchObject({ duplicated: 1, doubledOnTheWay: 0, redelivered: 1 });
  expect(judged([0], seen([0, 'again'], 0))).toMatchObject({ duplicated: 1, doubledOnTheWay: 1 });
  expect(judged([0], seen(0, [0, 'again'], 0))).toMatchObject({ duplicated: 2, doubledOnTheWay: 1 });
});

test('a message that came and still waits at the source is doubled', () => {
  expect(judged([0], seen(0), { left: 1 })).toMatchObject({ duplicated: 1, doubledOnTheWay: 1 });
});

test('a number that nobody sent is an error, not a delivery', () => {
  expect(() => judged([0], seen(0, 10))).toThrow('nobody sent number 10');
  expect(() => judged([0], seen(Number.NaN))).toThrow('nobody sent number NaN');
});

test('the longest gap is the longest time between two deliveries', () => {
  const at = (number: number, ms: number) => ({ number, redelivered: false, at: ms });
  expect(judged([0, 1, 2], [at(0, 0), at(1, 30), at(2, 1030.4)]).longestGapMs).toBe(1000);
});
