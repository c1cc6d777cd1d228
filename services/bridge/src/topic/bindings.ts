import { type Binding, bindingText, readBinding } from '@tombolo/wire/binding';
import type { BindingUpdate } from '@tombolo/wire/frame';

/*
 * The bindings of one exchange at the sink, as the source is told of them. The sink's set has a version that grows by one with
 * every binding that comes or goes. Order of arrival means nothing, only (incarnation, version) does: whatever is lost,
 * doubled or late on the way, the source's copy at version v is the sink's set as it was at version v.
 */

/** What a copy holds. */
export interface Held {
  readonly incarnation: number;
  readonly version: number;
}

const maxOps = 10_000;
const maxChunkBytes = 64 * 1024;
/** More parts than a set can have. */
const maxParts = 65_536;

/** The sink's side: the set, and what happened to it lately. */
export class BindingLog {
  readonly #incarnation: number;
  readonly #maxOps: number;
  readonly #texts = new Set<string>();
  #ops: string[] = [];
  /** The version before the first of `ops`. */
  #forgotten = 0;

  /**
   * An empty set, at version 0. It should be told to nobody before the sink has seen its bindings: an empty set is a statement.
   * @param incarnation of the sink; a younger one's sets replace an older one's
   * @param maxOps how many of the last changes are remembered, by default 10,000
   */
  constructor(incarnation: number, options: { readonly maxOps?: number } = {}) {
    this.#incarnation = incarnation;
    this.#maxOps = options.maxOps ?? maxOps;
  }

  get held(): Held {
    return { incarnation: this.#incarnation, version: this.#forgotten + this.#ops.length };
  }

  get size(): number {
    return this.#texts.size;
  }

  /** Bindings have come and gone. What is there already, or not at all, changes nothing. */
  change(added: readonly Binding[], removed: readonly Binding[]): void {
    for (const binding of added) this.#add(bindingText(binding));
    for (const binding of removed) this.#remove(bindingText(binding));
    this.#forget();
  }

  /** The set is now this one. */
  replace(bindings: readonly Binding[]): void {
    const texts = new Set(bindings.map(bindingText));
    for (const text of texts) this.#add(text);
    for (const text of [...this.#texts]) if (!texts.has(text)) this.#remove(text);
    this.#forget();
  }

  /**
   * What a copy that holds this needs: nothing, the operations since, or the whole set when it is of another incarnation, holds
   * nothing, is older than what is remembered, or that is less to send.
   * @param maxBytes about how large a chunk may be, by default 64 KiB; a binding that is larger goes alone
   */
  since(held: Held | undefined, maxBytes: number = maxChunkBytes): BindingUpdate[] {
    const incarnation = this.#incarnation;
    const { version } = this.held;
    const from = held?.incarnation === incarnation ? held.version : undefined;
    if (from === version) return [];
    if (from !== undefined && from >= this.#forgotten && from < version && version - from <= this.#texts.size + 1) {
      let at = from;
      return chunks(this.#ops.slice(from - this.#forgotten), maxBytes).map((ops) => {
        const update: BindingUpdate = { is: 'ops', incarnation, from: at, ops };
        at += ops.length;
        return update;
      });
    }
    const all = chunks([...this.#texts], maxBytes);
    return all.map((bindings, part) => ({ is: 'full', incarnation, version, part, parts: all.length, bindings }));
  }

  #add(text: string): void {
    if (this.#texts.has(text)) return;
    this.#texts.add(text);
    this.#ops.push(`+${text}`);
  }

  #remove(text: string): void {
    if (this.#texts.delete(text)) this.#ops.push(`-${text}`);
  }

  #forget(): void {
    if (this.#ops.length <= this.#maxOps) return;
    // More than needed, so that it is done rarely.
    const kept = Math.floor(this.#maxOps / 2);
    this.#forgotten += this.#ops.length - kept;
    this.#ops = this.#ops.slice(this.#ops.length - kept);
  }
}

interface Collected {
  readonly incarnation: number;
  readonly version: number;
  readonly parts: (readonly string[] | undefined)[];
  missing: number;
}

/** The source's side: a copy of a sink's set. */
export class BindingCopy {
  #held: Held | undefined;
  #bindings = new Map<string, Binding>();
  #collected: Collected | undefined;

  /** What it holds; undefined before the first whole set. The sink is asked for what came since. */
  get held(): Held | undefined {
    return this.#held;
  }

  /** The set at the version that is held. */
  get bindings(): readonly Binding[] {
    return [...this.#bindings.values()];
  }

  /**
   * Takes what the sink sent. `changed`: the set is another now; `gap`: something before this is missing, ask for what came since
   * `held`; `waiting`: a part of a whole set, others are to come; `known`: it says nothing new.
   * @throws Fault TOMBOLO_FRAME_INVALID when it names a binding that is none
   */
  apply(update: BindingUpdate): 'changed' | 'gap' | 'waiting' | 'known' {
    const held = this.#held;
    if (held && update.incarnation < held.incarnation) return 'known';
    return update.is === 'ops' ? this.#applyOps(update) : this.#collect(update);
  }

  #applyOps({ incarnation, from, ops }: Extract<BindingUpdate, { is: 'ops' }>): 'changed' | 'gap' | 'known' {
    const held = this.#held;
    if (held?.incarnation !== incarnation || from > held.version) return 'gap';
    const fresh = ops.slice(held.version - from);
    if (fresh.length === 0) return 'known';
    // All are read before the first is carried out: a set is of one version or of another.
    const read = fresh.map((op) => ({
      adds: op.startsWith('+'),
      text: op.slice(1),
      binding: readBinding(op.slice(1)),
    }));
    for (const { adds, text, binding } of read) {
      if (adds) this.#bindings.set(text, binding);
      else this.#bindings.delete(text);
    }
    this.#held = { incarnation, version: held.version + fresh.length };
    return 'changed';
  }

  #collect(update: Extract<BindingUpdate, { is: 'full' }>): 'changed' | 'waiting' | 'known' {
    const { incarnation, version, part, parts, bindings } = update;
    const held = this.#held;
    if (held?.incarnation === incarnation && version <= held.version) return 'known';
    let collected = this.#collected;
    if (collected && isOlder(update, collected)) return 'known';
    if (!Number.isInteger(parts) || parts < 1 || parts > maxParts) return 'known';
    if (collected?.incarnation !== incarnation || collected.version !== version || collected.parts.length !== parts) {
      collected = { incarnation, version, parts: new Array(parts).fill(undefined), missing: parts };
      this.#collected = collected;
    }
    if (!(part in collected.parts) || collected.parts[part]) return 'known';
    collected.parts[part] = bindings;
    collected.missing--;
    if (collected.missing > 0) return 'waiting';
    this.#collected = undefined;
    this.#bindings = new Map(
      collected.parts.flatMap((texts) => (texts ?? []).map((text) => [text, readBinding(text)])),
    );
    this.#held = { incarnation, version };
    return 'changed';
  }
}

function isOlder(a: Held, b: Held): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.version < b.version);
}

/** In order, each of about `maxBytes` at most; at least one, though it be empty. */
function chunks(texts: readonly string[], maxBytes: number): string[][] {
  let chunk: string[] = [];
  const all = [chunk];
  let bytes = 0;
  for (const text of texts) {
    // A character is three bytes of UTF-8 at most, and MessagePack leads a string with five.
    const size = (isAscii(text) ? text.length : 3 * text.length) + 5;
    if (bytes + size > maxBytes && chunk.length > 0) {
      chunk = [];
      all.push(chunk);
      bytes = 0;
    }
    chunk.push(text);
    bytes += size;
  }
  return all;
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
