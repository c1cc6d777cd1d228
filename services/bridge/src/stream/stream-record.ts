import type { SequenceRanges, StreamEpoch } from '@tombolo/wire/frame';
import { type IdentityRing, RING_LARGEST, RING_MS } from './identity-ring.ts';
import { DIGEST_BYTES, type IdentityLog } from './in-doubt.ts';
import {
  encodeNote,
  encodePage,
  encodeRing,
  epochField,
  pageField,
  type ReadRecord,
  ringField,
} from './record-fields.ts';
import type { RecordWrite } from './record-store.ts';
import { clip, RangeSet } from './settlement.ts';

/** What is written, or to be written, of one epoch. */
interface Book {
  readonly id: StreamEpoch;
  /** The stream's own: what is confirmed and not removed, and the identities. */
  readonly accepted: RangeSet;
  readonly log: IdentityLog;
  readonly publishing: RangeSet;
  /** Confirmed, and in no page yet. */
  unwritten: RangeSet;
  /** Fields with confirmed messages, and their highest number. */
  readonly pages: Map<string, number>;
  /** The next page takes the place of this one. */
  rewritten: string | undefined;
  removedThrough: number;
  /** Its note differs from what was written. */
  stale: boolean;
  noted: boolean;
}

/** Identities in one field of the ring. */
const RING_PAGE = 8_192;

/**
 * What of a stream at the sink is to be known to the next process, should this one die: gathers what has changed, until it is
 * taken to be written. Nothing waits for that. A confirmed message that is not written yet is what a crash doubles. Pure.
 */
export class StreamRecord {
  readonly #ring: IdentityRing;
  readonly #changed: () => void;
  readonly #books = new Map<string, Book>();
  #remove = new Set<string>();
  #ringPages = new Map<string, { readonly at: number; readonly count: number }>();
  #ringNumber = 0;
  #remembered: Uint8Array[] = [];
  /** The ring as a whole is to be written (again). */
  #rewriteRing = false;
  /** Numbers of confirmed messages that are being written. */
  #underWay = 0;
  /** Of the write that is under way: how many of its fields are there already, as far as is known; and what it removes. */
  #expected = 0;
  #removing: readonly string[] = [];

  /** @param changed called when there is something to be written */
  constructor(ring: IdentityRing, changed: () => void) {
    this.#ring = ring;
    this.#changed = changed;
  }

  /** Messages that the next process would not know to be stored: published and not confirmed, or confirmed and not written. */
  get unrecorded(): number {
    let count = this.#underWay;
    for (const { publishing, unwritten } of this.#books.values()) count += publishing.size + unwritten.size;
    return count;
  }

  /** Confirmed messages that are not written. */
  get unwritten(): number {
    let count = this.#underWay;
    for (const { unwritten } of this.#books.values()) count += unwritten.size;
    return count;
  }

  // ---- what happens ------------------------------------------------------------------------------------------------------

  /** @param accepted,log the stream's own, which are read when the record is written */
  begin(id: StreamEpoch, accepted: RangeSet, log: IdentityLog): void {
    this.#books.set(epochField(id), {
      ...{ id, accepted, log, publishing: new RangeSet(), unwritten: new RangeSet(), pages: new Map() },
      ...{ rewritten: undefined, removedThrough: 0, stale: false, noted: false },
    });
  }

  /** What a predecessor has written is taken over. @param books the stream's own sets, by epoch */
  takeOver(
    read: ReadRecord,
    books: readonly { readonly id: StreamEpoch; readonly accepted: RangeSet; readonly log: IdentityLog }[],
  ): void {
    for (const { id, accepted, log } of books) {
      this.begin(id, accepted, log);
      const known = read.epochs.find((epoch) => epochField(epoch.id) === epochField(id));
      const book = this.#books.get(epochField(id))!;
      book.noted = known?.note !== undefined;
      book.removedThrough = known?.note?.removedThrough ?? 0;
      for (const [field, { ranges }] of known?.pages ?? []) book.pages.set(field, ranges.at(-1)!);
    }
    for (const [field, { at, digests }] of read.ring) {
      this.#ringPages.set(field, { at, count: digests.length / DIGEST_BYTES });
      this.#ringNumber = Math.max(this.#ringNumber, Number(field.slice(2)));
    }
  }

  publishing(id: StreamEpoch, sequence: number): void {
    this.#changedBook(id)?.publishing.add(sequence);
  }

  /** The broker has answered: stored or not. */
  answered(id: StreamEpoch, sequence: number, confirmed: boolean): void {
    const book = this.#changedBook(id);
    book?.publishing.delete(sequence);
    if (confirmed) book?.unwritten.add(sequence);
  }

  /** The source has removed everything up to `through`. */
  removed(id: StreamEpoch, through: number): void {
    const known = this.#books.get(epochField(id));
    if (!known || through <= known.removedThrough) return;
    const book = this.#changedBook(id)!;
    book.removedThrough = through;
    book.unwritten.dropThrough(through);
    book.publishing.dropThrough(through);
    for (const [field, last] of book.pages) {
      if (last > through) continue;
      book.pages.delete(field);
      this.#remove.add(field);
    }
  }

  /** Nothing of this epoch is of use any more. */
  dropped(id: StreamEpoch): void {
    const key = epochField(id);
    const book = this.#books.get(key);
    if (!book) return;
    this.#books.delete(key);
    for (const field of book.pages.keys()) this.#remove.add(field);
    this.#remove.add(key);
    this.#changed();
  }

  /** An identity was added to the ring. */
  remember(digest: Uint8Array): void {
    if (this.#rewriteRing) return;
    this.#remembered.push(digest.slice());
    if (this.#remembered.length > RING_LARGEST) this.#rewriteAll();
    this.#changed();
  }

  // ---- writing -----------------------------------------------------------------------------------------------------------

  /**
   * What is to be written now; undefined: nothing. `written` or `failed` follows before the next call.
   * @param wall milliseconds since 1970
   */
  take(wall: number): Omit<RecordWrite, 'key'> | undefined {
    const set: [string, Uint8Array][] = [];
    this.#expected = 0;
    this.#underWay = 0;
    for (const book of this.#books.values()) {
      if (!book.stale) continue;
      book.stale = false;
      set.push([epochField(book.id), encodeNote({ ...book, publishing: book.publishing.toRanges() })]);
      if (book.noted) this.#expected++;
      book.noted = true;
      const page = this.#confirmed(book, wall);
      if (page) set.push(page);
    }
    for (const digests of this.#ringToWrite()) {
      const field = ringField(++this.#ringNumber);
      this.#ringPages.set(field, { at: wall, count: digests.length / DIGEST_BYTES });
      set.push([field, encodeRing({ digests, at: wall })]);
    }
    this.#trimRing(wall);
    for (const [field] of set) this.#remove.delete(field);
    const remove = [...this.#remove];
    this.#removing = remove;
    this.#remove.clear();
    return set.length > 0 || remove.length > 0 ? { set, remove } : undefined;
  }

  /** It is written. @param created how many of its fields were not there before */
  written(fields: number, created: number): void {
    this.#underWay = 0;
    // More is new than should be: the record had vanished (evicted, flushed, expired, or a server without it took over).
    if (created > fields - this.#expected) this.#rewriteAll();
  }

  /** It may or may not be written. */
  failed(): void {
    this.#underWay = 0;
    for (const field of this.#removing) this.#remove.add(field);
    this.#rewriteAll();
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #changedBook(id: StreamEpoch): Book | undefined {
    const book = this.#books.get(epochField(id));
    if (!book) return undefined;
    book.stale = true;
    this.#changed();
    return book;
  }

  /** Everything that is known is to be written anew; pages take the place of those of the same number. */
  #rewriteAll(): void {
    for (const book of this.#books.values()) {
      book.unwritten = new RangeSet(book.accepted.toRanges());
      book.stale = true;
      book.noted = false;
      // Under the same names, so that a store which refuses everything leaves no more to be removed after each attempt.
      book.rewritten = book.pages.keys().next().value ?? book.rewritten;
      for (const field of book.pages.keys()) this.#remove.add(field);
      book.pages.clear();
    }
    for (const field of this.#ringPages.keys()) this.#remove.add(field);
    this.#ringPages.clear();
    this.#ringNumber = 0;
    this.#remembered = [];
    this.#rewriteRing = this.#ring.size > 0;
    this.#changed();
  }

  #confirmed(book: Book, at: number): [string, Uint8Array] | undefined {
    // What was removed meanwhile is not in the log any more.
    const ranges: SequenceRanges = clip(book.unwritten.toRanges(), book.removedThrough + 1, Number.MAX_SAFE_INTEGER);
    book.unwritten = new RangeSet();
    if (ranges.length === 0) return undefined;
    const packed = book.log.pack(ranges);
    this.#underWay += packed.length / (DIGEST_BYTES + 1);
    const field = book.rewritten ?? pageField(book.id, ranges[0]!);
    book.rewritten = undefined;
    book.pages.set(field, Math.max(ranges.at(-1)!, book.pages.get(field) ?? 0));
    return [field, encodePage({ ranges, packed, at })];
  }

  #ringToWrite(): Uint8Array[] {
    const digests = this.#remembered;
    this.#remembered = [];
    if (this.#rewriteRing) {
      digests.length = 0;
      this.#ring.forEach((digest) => {
        digests.push(digest.slice());
      });
    }
    this.#rewriteRing = false;
    const pages: Uint8Array[] = [];
    for (let i = 0; i < digests.length; i += RING_PAGE) {
      const part = digests.slice(i, i + RING_PAGE);
      const page = new Uint8Array(part.length * DIGEST_BYTES);
      part.forEach((digest, j) => {
        page.set(digest, j * DIGEST_BYTES);
      });
      pages.push(page);
    }
    return pages;
  }

  #trimRing(wall: number): void {
    let count = 0;
    for (const page of this.#ringPages.values()) count += page.count;
    for (const [field, page] of this.#ringPages) {
      if (count <= RING_LARGEST && wall - page.at < RING_MS) return;
      count -= page.count;
      this.#ringPages.delete(field);
      this.#remove.add(field);
    }
  }
}
