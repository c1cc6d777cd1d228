import { editDistance, nearest, safeKey } from '@tombolo/topology/problem';
import { isLoopback, parseAddress, parseBytes, parseDurationMs, parsePerSecond } from '@tombolo/topology/units';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('units', () => {
  it('turn durations into milliseconds, and refuse a number without a unit', () => {
    expect(['500ms', '3s', '60s', '30m', '1h30m', '30d', '1.5s'].map(parseDurationMs)).toEqual([
      500, 3000, 60_000, 1_800_000, 5_400_000, 2_592_000_000, 1500,
    ]);
    expect(['20', '', 's', '3 s', '3S', '-3s', '3s!'].map(parseDurationMs)).toEqual(Array(7).fill(undefined));
  });

  it('turn sizes into bytes, with binary and decimal prefixes told apart', () => {
    expect(['32MiB', '1GiB', '10MB', '4096', '1kB', '2B'].map(parseBytes)).toEqual([
      33_554_432, 1_073_741_824, 10_000_000, 4096, 1000, 2,
    ]);
    expect(parseBytes(7)).toBe(7);
    expect(['32mib', '1 GiB', '', 'MiB', '9999999TiB'].map(parseBytes)).toEqual(Array(5).fill(undefined));
    expect([1.5, -1, Number.NaN].map(parseBytes)).toEqual(Array(3).fill(undefined));
  });

  it('turn rates into a number per second', () => {
    expect(['5000/s', '10MiB/s', '60/min', '60/m', '7200/h'].map(parsePerSecond)).toEqual([5000, 10_485_760, 1, 1, 2]);
    expect(['5000', '/s', '5/d', '5 /s'].map(parsePerSecond)).toEqual(Array(4).fill(undefined));
  });

  it('take addresses apart, IPv6 in brackets', () => {
    expect(parseAddress('0.0.0.0:7460')).toEqual({ host: '0.0.0.0', port: 7460 });
    expect(parseAddress('[::1]:0')).toEqual({ host: '::1', port: 0 });
    expect(['7460', ':7460', 'a:70000', '::1:7460', 'a b:1', 'a:'].map(parseAddress)).toEqual(Array(6).fill(undefined));
  });

  it('know what only this machine can reach', () => {
    expect(['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '10.0.0.1', '127.example.com', 'localhost.example', '::'].some(isLoopback)).toBe(false);
  });
});

describe('suggestions', () => {
  it('name the nearest known name, and none when nothing is near', () => {
    expect(nearest('rabitmq', ['rabbitmq', 'activemq'])).toBe('rabbitmq');
    expect(nearest('wset', ['east', 'west'])).toBe('west');
    expect(nearest('excluded', ['excludedDestinations', 'paused'])).toBe('excludedDestinations');
    expect(nearest('zebra', ['east', 'west'])).toBeUndefined();
  });

  it('measure a distance that is a metric in its arguments', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, a)).toBe(0);
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });

  it('do not show what follows a forgotten space', () => {
    expect(safeKey('password:hunter2')).toBe('password…');
  });
});
