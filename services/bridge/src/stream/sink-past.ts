import type { OpenFrame, StreamEpoch } from '@tombolo/wire/frame';
import { IdentityRing } from './identity-ring.ts';
import { DIGEST_BYTES } from './in-doubt.ts';
import type { ReadRecord } from './record-fields.ts';
import { clip, eachOf } from './settlement.ts';
import { compareEpochs, SEQUENCE_LARGEST, SinkEpoch } from './sink-epoch.ts';
import type { StreamRecord } from './stream-record.ts';

/** How long identities of a dead incarnation are kept for its successor. */
const RETENTION_MS = 600_000;

/**
 * What a stream's sink knows of epochs that have ended, those of predecessors of this process too, and of messages that are removed
 * at the source. Pure.
 */
export class SinkPast {
  /** Messages with an id that were stored here and removed at the source: a crash of its broker may bring them back. */
  readonly ring = new IdentityRing();
  #record: StreamRecord | undefined;
  #dead: SinkEpoch[] = [];

  /** What another process is to know, should this one die; undefined: nobody but this process knows. */
  get record(): StreamRecord | undefined {
    return this.#record;
  }
  /** Publishes are still under way. */
  get undecided(): boolean {
    return this.#dead.some((epoch) => epoch.publishing.size > 0);
  }
  /** Messages that are stored here, and of which the source has not said that they are removed there. */
  get unremoved(): number {
    return this.#dead.reduce((sum, { accepted }) => sum + accepted.size, 0);
  }
  /** Nothing of it is worth keeping. */
  get empty(): boolean {
    return this.#dead.length === 0 && this.ring.size === 0;
  }

  find(id: StreamEpoch): SinkEpoch | undefined {
    return this.#dead.find((dead) => compareEpochs(dead.id, id) === 0);
  }

  /** This process writes down what another is to know; it may take up what a predecessor has written. */
  recordWith(record: StreamRecord, read: ReadRecord | undefined, now: number, wall: number): void {
    this.#record = record;
    if (!read) return;
    for (const { at, digests } of read.ring.values()) {
      const then = Math.min(now, now - (wall - at));
      for (let i = 0; i < digests.length; i += DIGEST_BYTES) this.ring.add(digests.subarray(i, i + DIGEST_BYTES), then);
    }
    for (const { id, note, pages } of read.epochs) {
      const removed = note?.removedThrough ?? 0;
      const epoch = new SinkEpoch(id, removed, now);
      for (const { ranges, packed, at } of pages.values()) {
        epoch.log.unpack(ranges, packed);
        epoch.since = Math.min(epoch.since, now - (wall - at));
        const kept = clip(ranges, removed + 1, SEQUENCE_LARGEST);
        for (let i = 0; i + 1 < kept.length; i += 2) epoch.accepted.add(kept[i]!, kept[i + 1]!);
      }
      for (let i = 0; i + 1 < (note?.publishing.length ?? 0); i += 2)
        epoch.doubtful.add(note!.publishing[i]!, note!.publishing[i + 1]!);
      this.#dead.push(epoch);
    }
    record.takeOver(read, this.#dead);
  }

  /** The epoch that a source opens: what a predecessor has written of this very one goes on. */
  begin(frame: OpenFrame, now: number): SinkEpoch {
    const { incarnation, epoch, settledThrough, last } = frame;
    const dead = this.#dead.find(({ id, publishing }) => compareEpochs(id, frame) === 0 && publishing.size === 0);
    if (dead) {
      this.#dead = this.#dead.filter((each) => each !== dead);
      dead.revive(settledThrough, last);
      return dead;
    }
    const fresh = new SinkEpoch({ incarnation, epoch }, settledThrough, now);
    // Nobody knows what became of what was sent before.
    if (last > settledThrough) fresh.doubtful.add(settledThrough + 1, last);
    this.#record?.begin(fresh.id, fresh.accepted, fresh.log);
    return fresh;
  }

  /** A newer incarnation of the source is there: what is stored of this epoch is in doubt. */
  bury(epoch: SinkEpoch, now: number): void {
    epoch.clear();
    epoch.endedAt = now;
    if (epoch.publishing.size > 0 || !epoch.accepted.empty) this.#dead.push(epoch);
    else this.#record?.dropped(epoch.id);
  }

  /** Forgets an epoch, all but the identities with a message id. */
  drop(epoch: SinkEpoch, now: number): void {
    this.remember(epoch, SEQUENCE_LARGEST, now);
    this.#record?.dropped(epoch.id);
  }

  /** What is stored here and removed at the source may come back, should the source's broker crash. */
  remember(epoch: SinkEpoch, through: number, now: number): void {
    const ranges = clip(epoch.accepted.toRanges(), 1, through);
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      epoch.log.forEachNamed(ranges[i]!, ranges[i + 1]!, (digest) => {
        this.ring.add(digest, now);
        this.#record?.remember(digest);
      });
    }
  }

  /** Earlier epochs of an incarnation have come to their end before it opened this one. */
  dropOlder({ incarnation, epoch }: StreamEpoch, now: number): void {
    this.#dead = this.#dead.filter((dead) => {
      if (dead.id.incarnation !== incarnation || dead.id.epoch >= epoch || dead.publishing.size > 0) return true;
      this.drop(dead, now);
      return false;
    });
  }

  /** Forgets dead incarnations that nobody has asked for in a long time. */
  prune(now: number): void {
    this.ring.prune(now);
    this.#dead = this.#dead.filter((epoch) => {
      if (now - epoch.endedAt < RETENTION_MS) return true;
      this.#record?.dropped(epoch.id);
      return false;
    });
  }

  /** The dead incarnations' identities are not needed any more. */
  forget(now: number): void {
    this.#dead = this.#dead.filter((epoch) => {
      if (epoch.publishing.size > 0) return true;
      this.drop(epoch, now);
      return false;
    });
  }

  /**
   * Identities of dead incarnations that the broker has confirmed and of which the source never said that they are removed; none was
   * confirmed before its `since` (monotonic ms).
   */
  inDoubt(): { digest: Uint8Array; hasId: boolean; since: number }[] {
    const found: { digest: Uint8Array; hasId: boolean; since: number }[] = [];
    for (const epoch of this.#dead) {
      const { since } = epoch;
      eachOf(epoch.accepted.toRanges(), (sequence) => {
        const identity = epoch.log.get(sequence);
        if (identity) found.push({ ...identity, since });
      });
    }
    return found;
  }
}
