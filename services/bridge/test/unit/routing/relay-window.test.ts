import { describe, expect, it } from 'vitest';
import { RELAY_WINDOW_BYTES, RelayWindow } from '../../../src/routing/relay-window.ts';

describe('the window towards a neighbour that relays', () => {
  it('is full when its bytes are on their way, and opens with what the neighbour reports', () => {
    const window = new RelayWindow();
    window.sent('n', 'k', RELAY_WINDOW_BYTES);
    expect(window.fits('n', 'k', 1)).toBe(false);
    window.relayed('n', 'k', 1_000);
    expect(window.fits('n', 'k', 1_000)).toBe(true);
    expect(window.fits('n', 'k', 1_001)).toBe(false);
  });

  it('is one for each sink and each neighbour', () => {
    const window = new RelayWindow();
    window.sent('n', 'k', RELAY_WINDOW_BYTES);
    expect([window.fits('n', 'l', 1_000), window.fits('m', 'k', 1_000)]).toEqual([true, true]);
  });

  it('lets a frame that is larger than itself go when little is on its way', () => {
    const window = new RelayWindow();
    window.sent('n', 'k', RELAY_WINDOW_BYTES / 4);
    expect(window.fits('n', 'k', 10 * RELAY_WINDOW_BYTES)).toBe(true);
  });

  it('does not believe an older report', () => {
    const window = new RelayWindow();
    window.sent('n', 'k', 2 * RELAY_WINDOW_BYTES);
    window.relayed('n', 'k', 2 * RELAY_WINDOW_BYTES);
    window.relayed('n', 'k', 5);
    expect(window.fits('n', 'k', RELAY_WINDOW_BYTES)).toBe(true);
  });

  it('is empty again on a new link, and that of a neighbour with a longer name is left alone', () => {
    const window = new RelayWindow();
    window.sent('n', 'k', RELAY_WINDOW_BYTES);
    window.sent('nn', 'k', RELAY_WINDOW_BYTES);
    window.lost('n');
    expect([window.fits('n', 'k', RELAY_WINDOW_BYTES), window.fits('nn', 'k', 1)]).toEqual([true, false]);
  });
});
