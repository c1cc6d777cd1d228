import type { Publication } from '../port.ts';

/** A publication under way, and whom to tell. */
export interface Pending<Handler> {
  readonly publication: Publication;
  readonly handler: Handler;
}

interface Entry<Handler> extends Pending<Handler> {
  returned: string | undefined;
}

/** What the broker said of one publication. `detail` is the broker's reason of a return. */
export interface Verdict<Handler> extends Pending<Handler> {
  readonly outcome: 'confirmed' | 'returned' | 'refused';
  readonly detail: string | undefined;
}

/** A `basic.return` as it came: it carries no number. */
export interface Returned {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  readonly reason: string;
}

/**
 * The unconfirmed publications of one channel in confirm mode. Pure.
 *
 * A return comes before the ack of its message and names nothing but the message itself, so it is matched by content. Returns
 * come in publish order: the search goes on where the last one was found. Equal messages are interchangeable. A broker
 * may alter properties before it returns them (RabbitMQ strips `BCC`): then exchange, key and body have to do, then
 * exchange and key.
 */
export class Confirms<Handler> {
  /** The publish sequence number of index 0; RabbitMQ counts from 1 after confirm.select. */
  #base = 1;
  #head = 0;
  #entries: (Entry<Handler> | undefined)[] = [];
  /** Returns are looked for from here on, then from the head. */
  #cursor = 0;

  /** Must be called in the order in which the frames are written. */
  published(pending: Pending<Handler>): void {
    this.#entries.push({ publication: pending.publication, handler: pending.handler, returned: undefined });
  }

  /** How many wait for their confirm. */
  get size(): number {
    let size = 0;
    for (let index = this.#head; index < this.#entries.length; index++) if (this.#entries[index]) size++;
    return size;
  }

  /** True when it could be attributed. */
  returned(message: Returned): boolean {
    const match =
      this.#find(
        (p) => sameKey(p, message) && sameBytes(p.properties, message.properties) && sameBytes(p.body, message.body),
      ) ??
      this.#find((p) => sameKey(p, message) && sameBytes(p.body, message.body)) ??
      this.#find((p) => sameKey(p, message));
    if (match === undefined) return false;
    (this.#entries[match] as Entry<Handler>).returned = message.reason || 'NO_ROUTE';
    this.#cursor = match + 1;
    return true;
  }

  /** The verdicts of a `basic.ack` or `basic.nack`, in publish order. A returned message stays returned. */
  settled(tag: number, multiple: boolean, kind: 'ack' | 'nack'): Verdict<Handler>[] {
    const verdicts: Verdict<Handler>[] = [];
    const last = tag === 0 && multiple ? this.#entries.length - 1 : tag - this.#base;
    for (let index = multiple ? this.#head : last; index <= last; index++) {
      const entry = this.#entries[index];
      if (!entry) continue;
      this.#entries[index] = undefined;
      const outcome = entry.returned !== undefined ? 'returned' : kind === 'ack' ? 'confirmed' : 'refused';
      verdicts.push({ publication: entry.publication, handler: entry.handler, outcome, detail: entry.returned });
    }
    while (this.#head < this.#entries.length && !this.#entries[this.#head]) this.#head++;
    this.#compact();
    return verdicts;
  }

  /** The channel has closed: what was returned and what is open, each in publish order. */
  abandon(): { readonly returned: Verdict<Handler>[]; readonly open: Pending<Handler>[] } {
    const returned: Verdict<Handler>[] = [];
    const open: Pending<Handler>[] = [];
    for (const entry of this.#entries) {
      if (!entry) continue;
      const { publication, handler } = entry;
      if (entry.returned === undefined) open.push({ publication, handler });
      else returned.push({ publication, handler, outcome: 'returned', detail: entry.returned });
    }
    this.#entries = [];
    this.#head = 0;
    return { returned, open };
  }

  #find(equal: (publication: Publication) => boolean): number | undefined {
    const start = Math.max(this.#cursor, this.#head);
    const end = this.#entries.length;
    for (let index = start; index < end; index++) if (this.#matches(index, equal)) return index;
    for (let index = this.#head; index < start; index++) if (this.#matches(index, equal)) return index;
    return undefined;
  }

  #matches(index: number, equal: (publication: Publication) => boolean): boolean {
    const entry = this.#entries[index];
    return entry !== undefined && entry.returned === undefined && equal(entry.publication);
  }

  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#base += this.#head;
    this.#cursor = Math.max(0, this.#cursor - this.#head);
    this.#head = 0;
  }
}

function sameKey(publication: Publication, message: Returned): boolean {
  return publication.routingKey === message.routingKey && publication.exchange === message.exchange;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
