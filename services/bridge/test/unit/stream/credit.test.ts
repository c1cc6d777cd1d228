import { describe, expect, it } from 'vitest';
import {
  allowance,
  emptyWindow,
  noteArrived,
  noteConfirmed,
  noteHere,
  noteProbe,
  setCapacity,
  wantsProbe,
} from '../../../src/stream/credit.ts';

function demandOf(capacity: number, usual = 1000, largest = usual) {
  const window = emptyWindow({ usual, largest });
  setCapacity(window, capacity);
  return window;
}

/** A consumer that takes everything at once: after each round the queue is found empty. */
function starve(window: ReturnType<typeof emptyWindow>, rounds: number): number[] {
  const allowed: number[] = [];
  for (let i = 0; i < rounds; i++) {
    noteConfirmed(window, allowance(window));
    noteProbe(window, 0, 0, 0);
    allowed.push(allowance(window));
  }
  return allowed;
}

describe('the window of a sink’s consumers', () => {
  it('gives no credit before the queue was looked at', () => {
    const window = demandOf(10);
    expect(allowance(window)).toBe(0);
    expect(wantsProbe(window, 0)).toBe(true);
    noteProbe(window, 0, 0, 0);
    expect(allowance(window)).toBe(10);
  });

  it('gives no credit against messages that wait at the sink already', () => {
    const window = demandOf(10);
    noteProbe(window, 500, 0, 0);
    expect(allowance(window)).toBe(0);
  });

  it('sends first what the consumers can hold, then one, and more each time they starve', () => {
    const window = demandOf(10);
    noteProbe(window, 0, 0, 0);
    expect(starve(window, 8)).toEqual([1, 4, 8, 16, 32, 64, 128, 256]);
    expect(starve(window, 3)).toEqual([512, 1000, 1000]);
  });

  /** A window beyond the usual one; each step takes 100 ms, in which `arrived` messages come, and `here` wait here on the average. */
  function steps(loopMs: number, each: readonly { readonly arrived: number; readonly here: number }[]): number[] {
    const window = demandOf(1000, 1000, 8000);
    let now = 1_000;
    noteProbe(window, 0, 0, now);
    for (let i = 0; i < 5; i++) {
      noteConfirmed(window, allowance(window));
      noteProbe(window, 0, 0, now);
    }
    return each.map(({ arrived, here }) => {
      noteHere(window, here * 2, now);
      noteHere(window, 0, now + 50);
      noteArrived(window, arrived, loopMs);
      now += 100;
      noteConfirmed(window, allowance(window));
      noteProbe(window, 0, 0, now);
      return allowance(window);
    });
  }

  it('goes beyond the usual window for a round trip: nearly all of it is on its way', () => {
    // 4,000 a second over 200 ms are 800 on their way.
    expect(steps(200, [{ arrived: 400, here: 100 }])).toEqual([2000]);
    expect(steps(200, Array(5).fill({ arrived: 4000, here: 100 }))).toEqual([2000, 4000, 8000, 8000, 8000]);
  });

  it('does not go beyond the usual window while most of it waits here for the broker', () => {
    expect(steps(5, Array(3).fill({ arrived: 700, here: 900 }))).toEqual([1000, 1000, 1000]);
    expect(steps(200, Array(3).fill({ arrived: 700, here: 900 }))).toEqual([1000, 1000, 1000]);
  });

  it('does not go beyond the usual window while the source leaves credit over', () => {
    expect(steps(5, Array(3).fill({ arrived: 700, here: 300 }))).toEqual([1000, 1000, 1000]);
    expect(steps(200, Array(3).fill({ arrived: 100, here: 100 }))).toEqual([1000, 1000, 1000]);
  });

  it('holds no more than one waiting message for a consumer that holds what it can and does not acknowledge', () => {
    const window = demandOf(100);
    noteProbe(window, 0, 0, 0);
    noteConfirmed(window, 100);
    noteProbe(window, 0, 0, 0); // the consumer has taken its prefetch
    expect(allowance(window)).toBe(1);
    noteConfirmed(window, 1);
    noteProbe(window, 1, 0, 0); // and takes no more
    expect(allowance(window)).toBe(0);
    noteProbe(window, 1, 0, 0);
    expect(allowance(window)).toBe(0);
  });

  it('shrinks once when messages pile up, and goes on when they are taken', () => {
    const window = demandOf(Number.POSITIVE_INFINITY);
    noteProbe(window, 0, 0, 0);
    starve(window, 10);
    const before = window.window;
    noteConfirmed(window, before);
    for (let i = 0; i < 5; i++) noteProbe(window, before, 0, 0);
    expect(window.window).toBe(before / 2);
    expect(allowance(window)).toBe(0);
    noteProbe(window, before / 4, 0, 0);
    expect(allowance(window)).toBe(before / 4);
  });

  it('never exceeds the room that a queue with max-length has left', () => {
    const window = demandOf(100);
    window.room = 30;
    noteProbe(window, 0, 0, 0);
    expect(allowance(window)).toBe(30);
    noteConfirmed(window, 30);
    expect(allowance(window)).toBe(0);
    noteProbe(window, 0, 0, 0);
    expect(allowance(window)).toBe(30);
  });

  it('gives a new consumer what it can hold, and nothing once the last has left', () => {
    const window = demandOf(10);
    noteProbe(window, 0, 0, 0);
    noteConfirmed(window, 10);
    setCapacity(window, 25);
    expect(allowance(window)).toBe(15);
    setCapacity(window, 0);
    expect(allowance(window)).toBe(0);
    expect(wantsProbe(window, 5)).toBe(false);
  });

  it('does not look at the queue of an idle stream with standing credit', () => {
    const window = demandOf(10);
    noteProbe(window, 0, 0, 0);
    expect(wantsProbe(window, allowance(window))).toBe(false);
  });
});
