import type { Clock } from '@tombolo/kernel/clock';
import type { Agreement } from '../routing/agreement.ts';
import type { Router } from '../routing/router.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Differences } from './differences.ts';

/** The least that is asked of a logger; pino's fit. */
export interface ShellLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What the source's and the sink's half of a bridge share. */
export interface HalfOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly router: Router;
  readonly metrics: Metrics;
  readonly log: ShellLog;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly differences: Differences;
}
