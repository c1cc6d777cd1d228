import { createRequire } from 'node:module';
import { Fault } from '@tombolo/kernel/fault';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Redactor } from './redactor.ts';

/** A logger whose every line went through the redactor. Messages are constant phrases; facts are fields. */
export type Log = Logger;

/** From the most to the least that is said: `trace` is messages, `debug` frames, `info` transitions and operations. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  readonly redactor: Redactor;
  /** Where lines go; default: standard output, for people when that is a terminal. */
  readonly destination?: DestinationStream;
}

/** The level of that name; a fault of usage that lists the known ones when there is none. Undefined is `info`. */
export function logLevel(name: string | undefined): LogLevel {
  if (name === undefined || name === '') return 'info';
  const known = logLevels.find((level) => level === name.toLowerCase());
  if (known) return known;
  throw new Fault('TOMBOLO_USAGE', `There is no log level "${name}"; use one of ${logLevels.join(', ')}.`);
}

/** A log of JSON lines on standard output, written before the call returns, so that a crash loses none. */
export function createLog({ level, redactor, destination }: LogOptions): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: (line) => redactor.jsonLine(line) },
    },
    destination ?? standardOutput(),
  );
}

function standardOutput(): DestinationStream {
  if (!process.stdout.isTTY) return pino.destination({ dest: 1, sync: true });
  // Loaded only here: in service nobody looks, and it takes megabytes of every bridge.
  const { PinoPretty } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  return PinoPretty({ colorize: true, destination: 1, sync: true, translateTime: 'SYS:HH:MM:ss.l', singleLine: true });
}
