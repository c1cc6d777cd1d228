import type { Clock } from '@tombolo/kernel/clock';
import type { ControlFrame, MessagesFrame } from '@tombolo/wire/frame';
import type { Agreement } from '../routing/agreement.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The least that is asked of a logger; pino's fit. */
export interface ShellLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The links as the two halves see them. */
export interface LinkPort {
  /** False when there is no link. */
  send(peer: string, frame: ControlFrame): boolean;
  /** False when it was not taken: wait until the link is writable. */
  sendData(peer: string, frame: MessagesFrame): boolean;
}

/** What the source's and the sink's half of a bridge share. */
export interface HalfOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly links: LinkPort;
  readonly metrics: Metrics;
  readonly log: ShellLog;
  readonly clock: Clock;
}
