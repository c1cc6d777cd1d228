import { describe, expect, it } from 'vitest';
import { Rates } from '../../../src/telemetry/rates.ts';

function rates() {
  const clock = { now: 1_000_000 };
  return { clock, rates: new Rates(() => clock.now) };
}

describe('rates', () => {
  it('are what came in the last five whole seconds, divided by five', () => {
    const { clock, rates: meter } = rates();
    for (let second = 0; second < 5; second++) {
      meter.add('k', 100);
      clock.now += 1_000;
    }
    expect(meter.perSecond().get('k')).toBe(100);
    meter.add('k', 1_000_000);
    expect(meter.perSecond().get('k')).toBe(100);
  });

  it('fall to nothing when nothing comes any more, also when nobody looked for long', () => {
    const { clock, rates: meter } = rates();
    meter.add('k', 10);
    clock.now += 3_000;
    expect(meter.perSecond().get('k')).toBe(2);
    clock.now += 60_000;
    expect(meter.perSecond().has('k')).toBe(false);
    meter.add('k', 5);
    clock.now += 1_000;
    expect(meter.perSecond().get('k')).toBe(1);
  });

  it('are told apart by key', () => {
    const { clock, rates: meter } = rates();
    meter.add('a', 5);
    meter.add('b', 10);
    clock.now += 1_000;
    expect([...meter.perSecond()]).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });
});
