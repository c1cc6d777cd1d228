import type { Wakes } from '@tombolo/kernel/wakes';
import type { Destination } from '@tombolo/wire/frame';
import type { Broker } from '../broker/port.ts';
import type { DemandTable } from '../demand/demand-table.ts';
import type { Admission } from './admission.ts';
import type { InboundBytes } from './inbound-bytes.ts';
import type { Landing } from './landing.ts';
import type { HalfOptions } from './shell.ts';
import type { SinkRecords } from './sink-records.ts';
import type { SinkVerdicts } from './sink-verdicts.ts';
import type { Sinkhole } from './sinkhole.ts';

/** What a sink's streams are to the rest of the bridge. */
export interface SinkSurroundings extends HalfOptions {
  readonly broker: Broker;
  readonly inFlightBytes: number;
  /** How messages of this kind of destination get into the broker. */
  landing(kind: Destination['kind']): Landing;
  readonly admission: Admission;
  /** What is written of its streams for the next process; undefined: nothing is. */
  readonly records?: SinkRecords | undefined;
}

/** What the destinations of one sink share. */
export interface SinkGround {
  readonly surroundings: SinkSurroundings;
  /** What the own consumers want. */
  readonly table: DemandTable;
  readonly inbound: InboundBytes;
  readonly wakes: Wakes<Sinkhole>;
  readonly verdicts: SinkVerdicts;
  /** Why the own broker is not usable, as words that follow the cluster's name; undefined: it is. */
  brokerDown: string | undefined;
  /** Nothing new begins: the bridge stops. */
  draining: boolean;
  /** False: the site is to be emptied, nothing is brought in but answers to requests that were sent from here. */
  receiving: boolean;
  /** The bridge is not the master any more: nothing is done. */
  closed: boolean;
  /** Nothing of it is worth keeping. */
  idle(sinkhole: Sinkhole): void;
}
