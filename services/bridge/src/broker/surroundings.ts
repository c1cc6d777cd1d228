import type { Clock } from '@tombolo/kernel/clock';

/** The least that is asked of a logger: constant phrases as messages, facts as fields. pino's loggers fit. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Time, chance and log: everything the adapter needs from its surroundings besides sockets. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}
