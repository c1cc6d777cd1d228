import type { Clock } from '@tombolo/kernel/clock';
import { Wakes } from '@tombolo/kernel/wakes';
import type { RateLimit } from '@tombolo/topology/topology';
import { RateLimiter, type Throttle } from './rate-limit.ts';

/** The limits of connectors and of their entries, each shared by those that are under it. */
export class SourceLimits<Who> {
  readonly #clock: Clock;
  /** By the limit of the file that they enforce. */
  readonly #limiters = new WeakMap<RateLimit, RateLimiter<Who>>();
  readonly #wakes: Wakes<RateLimiter<Who>>;

  /** @param release called with each of those who waited for their turn, when it has come */
  constructor(clock: Clock, release: (who: Who) => void) {
    this.#clock = clock;
    this.#wakes = new Wakes(clock, (limiter) => {
      limiter.serve(clock.now(), release);
      this.#wakes.set(limiter, limiter.nextAt);
    });
  }

  /** What `who` sees of this limit. */
  throttle(limit: RateLimit, who: Who): Throttle {
    let limiter = this.#limiters.get(limit);
    if (!limiter) {
      limiter = new RateLimiter<Who>(limit, this.#clock.now());
      this.#limiters.set(limit, limiter);
    }
    const shared = limiter;
    const { take, ...throttle } = shared.for(who);
    return {
      ...throttle,
      take: (bytes, now) => {
        const taken = take(bytes, now);
        if (!taken) this.#wakes.set(shared, shared.nextAt);
        return taken;
      },
    };
  }

  close(): void {
    this.#wakes.clear();
  }
}
