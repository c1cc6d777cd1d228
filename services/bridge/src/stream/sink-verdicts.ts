import type { Clock } from '@tombolo/kernel/clock';
import type { SettleFrame, StreamAddress, StreamControlFrame } from '@tombolo/wire/frame';

/**
 * How long verdicts wait for company (ms). Nobody waits for a single one: at a trickle a third of a bridge's time went into frames of one
 * verdict each, their writes, the acknowledgements that followed them, and the wakes of all that.
 */
const GATHER_MS = 10;

interface Gathered {
  readonly frame: SettleFrame;
  readonly accepted: number[];
}

/**
 * The frames of a sink's streams on their way out. That messages are stored is told together with what is stored soon after, or before
 * anything else that is said of the stream, so that its frames keep their order; all else is told at once.
 */
export class SinkVerdicts {
  readonly #clock: Clock;
  readonly #out: (frame: StreamControlFrame) => void;
  /** By the address of the stream, which is one object for all its frames. */
  readonly #gathered = new Map<StreamAddress, Gathered>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, out: (frame: StreamControlFrame) => void) {
    this.#clock = clock;
    this.#out = out;
  }

  send(frame: StreamControlFrame): void {
    const { address } = frame;
    const before = this.#gathered.get(address);
    if (!onlyAccepts(frame)) {
      if (before) this.#tell(address, before);
      this.#out(frame);
      return;
    }
    if (before && follows(frame, before)) {
      append(before.accepted, frame.accepted);
      return;
    }
    if (before) this.#tell(address, before);
    this.#gathered.set(address, { frame, accepted: [...frame.accepted] });
    this.#cancel ??= this.#clock.wake(this.#clock.now() + GATHER_MS, () => this.flush());
  }

  /** Tells what has gathered. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const [address, gathered] of this.#gathered) this.#tell(address, gathered);
  }

  #tell(address: StreamAddress, { frame, accepted }: Gathered): void {
    this.#gathered.delete(address);
    this.#out({ ...frame, accepted });
  }
}

function onlyAccepts(frame: StreamControlFrame): frame is SettleFrame {
  if (frame.kind !== 'settle') return false;
  const { accepted, released, rejected, comparison } = frame;
  return accepted.length > 0 && released.length === 0 && rejected.length === 0 && !comparison;
}

/** It is of the same epoch and count, and its numbers come after those. */
function follows(frame: SettleFrame, { frame: before, accepted }: Gathered): boolean {
  return (
    frame.incarnation === before.incarnation &&
    frame.epoch === before.epoch &&
    frame.countedSince === before.countedSince &&
    (frame.accepted[0] as number) > (accepted[accepted.length - 1] as number)
  );
}

/** @param more ranges that come after these */
function append(ranges: number[], more: readonly number[]): void {
  const last = ranges.length - 1;
  const adjacent = more[0] === (ranges[last] as number) + 1;
  if (adjacent) ranges[last] = more[1] as number;
  for (let index = adjacent ? 2 : 0; index < more.length; index++) ranges.push(more[index] as number);
}
