import type { Publication } from '../broker/port.ts';

/** What messages need before they are published in the own broker. */
export interface Admission {
  /** The properties with which a message is published here. */
  admitted(properties: Uint8Array): Uint8Array;
  /**
   * True when these publications may be published at once. If not, `then` is called later, exactly once, and those that come
   * meanwhile on the same stream wait behind them.
   */
  pass(stream: object, publications: readonly Publication[], then: (verdict: 'publish' | 'refuse') => void): boolean;
  /** The broker has gone: whatever waits is refused. */
  clear(): void;
}
