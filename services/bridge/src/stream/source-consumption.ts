import type { Outbox, SourceEffect } from './effects.ts';
import type { InFlight } from './in-flight.ts';
import type { Intake } from './intake.ts';
import type { Obstacle } from './obstacle.ts';
import type { SourceEnvironment, SourceSettings } from './source-settings.ts';

const FIRST_PREFETCH = 4;
const BYTES_RETRY_MS = 100;
/** Most sequence numbers between the oldest open one and the newest. */
const CROWDED = 200_000;

/** Whether a source stream consumes its queue, and how many messages its consumer may hold: as credit, bytes and limits permit. Pure. */
export class SourceConsumption<Owner> {
  readonly #settings: SourceSettings;
  readonly #environment: SourceEnvironment<Owner>;
  readonly #flight: InFlight<Owner>;
  readonly #intake: Intake;
  readonly #out: Outbox<SourceEffect>;
  #brokerUp = true;
  /** Not before; 0: nothing hinders. */
  #retryAt = 0;
  #refusal: string | undefined;
  /** Nothing more may be held in memory. */
  #full = false;

  constructor(
    settings: SourceSettings,
    environment: SourceEnvironment<Owner>,
    flight: InFlight<Owner>,
    intake: Intake,
    out: Outbox<SourceEffect>,
  ) {
    this.#settings = settings;
    this.#environment = environment;
    this.#flight = flight;
    this.#intake = intake;
    this.#out = out;
  }

  /** Why nothing is taken from the queue, credit apart, or undefined. */
  obstacle(): Obstacle | undefined {
    if (!this.#brokerUp) return { reason: 'broker_down', detail: 'the broker is not reachable' };
    if (this.#refusal) return { reason: 'queue_refused', detail: this.#refusal };
    if (this.#crowded())
      return { reason: 'no_verdict', detail: 'one message has had no verdict for too long: see the dead letters' };
    const barred = this.#environment.barred();
    if (barred || !this.#full) return barred;
    return { reason: 'in_flight_bytes', detail: 'as many bytes are in flight as inFlightBytes or prefetchBytes allow' };
  }

  /** When `start` should be tried again (monotonic ms); Infinity: not for that reason. */
  nextTry(flowing: boolean): number {
    return this.#retryAt > 0 && this.#mayStart(flowing) ? this.#retryAt : Number.POSITIVE_INFINITY;
  }

  brokerUp(up: boolean): void {
    this.#brokerUp = up;
    if (up) this.#retryAt = 0;
  }

  /** The broker did not let it consume; undefined: for a reason that needs no words. */
  hindered(refusal: string | undefined, retryAt: number): void {
    if (refusal !== undefined) this.#refusal = refusal;
    this.#retryAt = retryAt;
  }

  /** @param flowing the stream is open, and its link is up */
  start(flowing: boolean, now: number): void {
    if (!this.#mayStart(flowing) || now < this.#retryAt) return;
    this.#retryAt = 0;
    this.#full = false;
    const { taken } = this.#flight;
    const credit = this.#intake.granted - taken;
    if (credit < 1 || this.#crowded() || this.#environment.barred()) return;
    let limit = this.#prefetchLimit();
    if (limit < 1) {
      if (this.#flight.bytes > 0 || this.#environment.bytesFree() <= 0) {
        this.#retryAt = now + BYTES_RETRY_MS;
        this.#full = true;
        return;
      }
      limit = 1; // a single message larger than the bound still has to travel
    }
    this.#refusal = undefined;
    const prefetch = this.#intake.prefetchFor(Math.min(credit, limit));
    this.#out.add({ do: 'consume', generation: this.#intake.start(prefetch, taken), prefetch });
  }

  stop(): void {
    const generation = this.#intake.stop();
    if (generation !== undefined) this.#out.add({ do: 'cancel', generation });
  }

  /** A consumer whose prefetch has become too small is extended; one that is (or, by the messages' size, too large) is replaced. */
  judge(): void {
    const heaviest = (this.#settings.prefetchBytes * 2) / this.#flight.meanBytes;
    // Seen on RabbitMQ 3.10: a stop of a stream of a quorum queue with several consumers gave messages back, which spends their limit.
    const extensible = this.#settings.queue.type !== 'quorum';
    const extension = extensible ? this.#intake.extend(this.#room(), this.#most()) : undefined;
    if (extension) this.#out.add({ do: 'extend', ...extension });
    else if (this.#intake.outgrown(this.#flight.taken, this.#prefetchLimit(), heaviest)) this.stop();
  }

  /** One that was extended is replaced by one that is large enough from the start, once nothing is under way: it takes its turns as one. */
  consolidate(): void {
    if (this.#intake.extended && this.#flight.unsettled === 0 && this.#flight.unsent === 0) this.stop();
  }

  #mayStart(flowing: boolean): boolean {
    return !this.#intake.consuming && flowing && this.#brokerUp;
  }

  /** A message far behind has no verdict (a dead letter that cannot be parked): nothing more is taken, the books stay short. */
  #crowded(): boolean {
    return this.#flight.last - this.#flight.settledThrough > CROWDED;
  }

  #prefetchLimit(): number {
    return Math.min(this.#most(), this.#room());
  }

  /** The largest prefetch, whatever is in memory. What a limit keeps waiting stays in its queue. */
  #most(): number {
    const throttled = this.#environment.throttle?.()?.prefetch(this.#flight.meanBytes) ?? Number.POSITIVE_INFINITY;
    const { meanBytes } = this.#flight;
    // What is free may not know of what has just been handed over: so it is taken as the bound of all.
    const whole = Math.min(this.#settings.prefetchBytes, this.#environment.bytesFree());
    const fits = meanBytes === 0 ? FIRST_PREFETCH : Math.floor(whole / meanBytes);
    return Math.min(this.#settings.largestWindow * this.#environment.turns(), throttled, Math.max(1, fits));
  }

  /** How many more messages may be in memory. Bytes bound the prefetch, too: the broker knows no other way than a count. */
  #room(): number {
    const { bytes, meanBytes } = this.#flight;
    if (meanBytes === 0) return FIRST_PREFETCH;
    const free = Math.min(this.#settings.prefetchBytes - bytes, this.#environment.bytesFree());
    return Math.floor(free / meanBytes);
  }
}
