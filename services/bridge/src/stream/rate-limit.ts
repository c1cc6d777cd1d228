import type { RateLimit } from '@tombolo/topology/topology';

/** How often those in line are served at most (ms): many messages at once are cheaper than one after the other. */
const GRAIN_MS = 10;

/** Fills at `perSecond`, and holds what a second brings but at least one unit. */
interface Bucket {
  readonly perSecond: number;
  readonly burst: number;
  /** May be below 0: what is larger than the bucket is let through when it is full, and paid for afterwards. */
  level: number;
  at: number;
}

/** What a stream sees of the limit that it is under. */
export interface Throttle {
  /** The limit, as words. */
  readonly text: string;
  /** About as many messages as may pass in a second, at least one: more need not wait in memory. */
  prefetch(meanBytes: number): number;
  /** True: the message may pass, and is paid for. False: not now; the stream is in line, and is called when its turn comes. */
  take(bytes: number, now: number): boolean;
}

/**
 * The limit of a connector, or of one of its entries: two token buckets, and the line of those who wait for them, served in
 * turn. In any time t no more than rate·t and one burst (a second's worth, at least one message) pass. Pure: times are given.
 */
export class RateLimiter<Who> {
  readonly text: string;
  readonly #messages: Bucket | undefined;
  readonly #bytes: Bucket | undefined;
  /** In order of their turn, with the size of the message that each waits with. */
  readonly #line = new Map<Who, number>();
  #turn: Who | undefined;
  #servedAt = Number.NEGATIVE_INFINITY;

  constructor(limit: RateLimit, now: number) {
    this.#messages = bucket(limit.messagesPerSecond, now);
    this.#bytes = bucket(limit.bytesPerSecond, now);
    this.text = textOf(limit);
  }

  /** The limit as one of those who share it sees it. */
  for(who: Who): Throttle {
    return {
      text: this.text,
      prefetch: (meanBytes) => this.#prefetch(meanBytes),
      take: (bytes, now) => this.#take(who, bytes, now),
    };
  }

  /** When `serve` is due (monotonic ms); Infinity: nobody waits. */
  get nextAt(): number {
    const [first] = this.#line.values();
    if (first === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(this.#readyAt(first), this.#servedAt + GRAIN_MS);
  }

  /** Calls those in line, one after the other, as long as there is something to take. Who still lacks something queues up again. */
  serve(now: number, call: (who: Who) => void): void {
    this.#servedAt = now;
    for (const [who, bytes] of [...this.#line]) {
      if (this.#readyAt(bytes) > now) return;
      this.#line.delete(who);
      this.#turn = who;
      call(who);
      this.#turn = undefined;
    }
  }

  #take(who: Who, bytes: number, now: number): boolean {
    const overtakes = this.#turn === undefined ? this.#line.size > 0 : this.#turn !== who;
    if (overtakes || this.#readyAt(bytes) > now) {
      this.#line.set(who, bytes);
      return false;
    }
    spend(this.#messages, 1, now);
    spend(this.#bytes, bytes, now);
    return true;
  }

  #readyAt(bytes: number): number {
    return Math.max(readyAt(this.#messages, 1), readyAt(this.#bytes, bytes));
  }

  #prefetch(meanBytes: number): number {
    const messages = this.#messages?.perSecond ?? Number.POSITIVE_INFINITY;
    const bytes = this.#bytes && meanBytes > 0 ? this.#bytes.perSecond / meanBytes : Number.POSITIVE_INFINITY;
    return Math.max(1, Math.ceil(Math.min(messages, bytes)));
  }
}

function bucket(perSecond: number | undefined, now: number): Bucket | undefined {
  if (perSecond === undefined) return undefined;
  const burst = Math.max(1, perSecond);
  return { perSecond, burst, level: burst, at: now };
}

/** When there is enough for `cost`, or the bucket is full, if it can never hold that much. */
function readyAt(bucket: Bucket | undefined, cost: number): number {
  if (!bucket) return Number.NEGATIVE_INFINITY;
  const lacking = Math.min(cost, bucket.burst) - bucket.level;
  return lacking <= 0 ? bucket.at : bucket.at + (lacking / bucket.perSecond) * 1000;
}

function spend(bucket: Bucket | undefined, cost: number, now: number): void {
  if (!bucket) return;
  const brought = (Math.max(0, now - bucket.at) / 1000) * bucket.perSecond;
  bucket.level = Math.min(bucket.burst, bucket.level + brought) - cost;
  bucket.at = Math.max(bucket.at, now);
}

function textOf({ messagesPerSecond, bytesPerSecond }: RateLimit): string {
  const parts = [
    messagesPerSecond !== undefined && `${rounded(messagesPerSecond)} messages/s`,
    bytesPerSecond !== undefined && `${rounded(bytesPerSecond)} bytes/s`,
  ];
  return parts.filter((part) => part).join(' and ');
}

function rounded(rate: number): number {
  return Number(rate.toPrecision(6));
}
