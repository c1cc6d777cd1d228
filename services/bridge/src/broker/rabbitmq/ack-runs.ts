import type { AckFrame } from './data-path/frame-writer.ts';

const unsettled = 0;
const toAck = 1;
const toNack = 2;
const written = 3;

/**
 * Turns settled delivery tags of one channel into as few `basic.ack` and `basic.nack` as is safe. Pure.
 *
 * `multiple` covers every lower tag of the *channel*, whichever consumer it went to, so it never reaches past the lowest
 * unsettled one; what is settled beyond is written singly. The tag of a multiple must itself be unacknowledged at the
 * broker (else 406 "unknown delivery tag"), hence a run ends at a tag that was not written before.
 */
export class AckRuns<Owner> {
  /** The delivery tag of index 0. */
  #base = 1;
  /** Everything before this index is written. */
  #head = 0;
  #states: number[] = [];
  #owners: (Owner | undefined)[] = [];
  #pending: number[] = [];

  /** The broker has handed over the next delivery of the channel: tags count from 1 without gaps. */
  delivered(tag: number, owner: Owner): void {
    if (tag !== this.#base + this.#states.length) throw new Error(`delivery tag ${tag} is out of sequence`);
    this.#states.push(unsettled);
    this.#owners.push(owner);
  }

  /** Settles one tag; false when it is unknown or was settled before. */
  settle(tag: number, kind: 'ack' | 'nack'): boolean {
    const index = tag - this.#base;
    if (this.#states[index] !== unsettled) return false;
    this.#states[index] = kind === 'ack' ? toAck : toNack;
    this.#owners[index] = undefined;
    this.#pending.push(tag);
    return true;
  }

  /** Everything of this owner that is not settled, in order. */
  unsettledOf(owner: Owner): number[] {
    const tags: number[] = [];
    for (let index = this.#head; index < this.#owners.length; index++) {
      if (this.#owners[index] === owner) tags.push(this.#base + index);
    }
    return tags;
  }

  /** How many were settled and are not written yet. */
  get pending(): number {
    return this.#pending.length;
  }

  /** How many deliveries are not settled, or settled and not covered yet. */
  get size(): number {
    return this.#states.length - this.#head;
  }

  /** What to write for everything that was settled since the last call, in this order. */
  flush(): AckFrame[] {
    if (this.#pending.length === 0) return [];
    const acks: AckFrame[] = [];
    const states = this.#states;
    let index = this.#head;
    let run: { kind: 'ack' | 'nack'; tag: number; count: number } | undefined;
    const endRun = () => {
      if (run) acks.push({ kind: run.kind, tag: run.tag, multiple: run.count > 1 });
    };
    for (; index < states.length && states[index] !== unsettled; index++) {
      const state = states[index];
      if (state === written) continue;
      const kind = state === toAck ? 'ack' : 'nack';
      if (run?.kind !== kind) {
        endRun();
        run = { kind, tag: 0, count: 0 };
      }
      run.tag = this.#base + index;
      run.count++;
      states[index] = written;
    }
    endRun();
    this.#head = index;
    const beyond = this.#pending.filter((tag) => states[tag - this.#base] !== written).sort((a, b) => a - b);
    for (const tag of beyond) {
      const kind = states[tag - this.#base] === toAck ? 'ack' : 'nack';
      acks.push({ kind, tag, multiple: false });
      states[tag - this.#base] = written;
    }
    this.#pending = [];
    this.#compact();
    return acks;
  }

  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#states.length) return;
    this.#states = this.#states.slice(this.#head);
    this.#owners = this.#owners.slice(this.#head);
    this.#base += this.#head;
    this.#head = 0;
  }
}
