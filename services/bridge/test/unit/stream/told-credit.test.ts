import { expect, it } from 'vitest';
import { ToldCredit } from '../../../src/stream/told-credit.ts';

it('the loop is the shortest time from a credit to the first message that needed it', () => {
  const credit = new ToldCredit();
  expect(credit.loopMs).toBe(Number.POSITIVE_INFINITY);
  credit.tell(10, 1_000);
  credit.arrived(3, 1_200);
  expect(credit.loopMs).toBe(200);
  // Seven are left over: what came under them says nothing of this one.
  credit.tell(20, 1_300);
  credit.arrived(10, 1_350);
  credit.arrived(11, 1_900);
  expect(credit.loopMs).toBe(200);
  credit.tell(40, 2_000);
  credit.tell(60, 2_010);
  credit.arrived(25, 2_150);
  expect(credit.loopMs).toBe(150);
});

it('a credit that was taken back is not timed, nor is one of a former way', () => {
  const credit = new ToldCredit();
  credit.tell(10, 1_000);
  credit.tell(0, 1_010);
  credit.tell(5, 2_000);
  credit.arrived(1, 2_100);
  expect(credit.loopMs).toBe(100);
  credit.tell(8, 3_000);
  credit.untimed();
  credit.arrived(8, 3_001);
  expect(credit.loopMs).toBe(Number.POSITIVE_INFINITY);
});
