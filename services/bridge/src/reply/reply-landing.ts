import { deliveryMode } from '@tombolo/wire/properties';
import type { PublishOutcome } from '../broker/port.ts';
import type { Landing } from '../stream/landing.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { dropOf, type ReplyOrigin } from './reply-origin.ts';

/**
 * How replies land at the origin: each is judged by the address that it was sent to, and published to the requester's own. What
 * cannot reach the requester any more is taken all the same, and counted: nobody else is waiting for it.
 */
export class ReplyLanding implements Landing {
  readonly #origin: ReplyOrigin;
  readonly #metrics: Pick<Metrics, 'repliesDropped'>;
  readonly #wallClock: () => number;

  constructor(origin: ReplyOrigin, metrics: Pick<Metrics, 'repliesDropped'>, wallClock: () => number) {
    this.#origin = origin;
    this.#metrics = metrics;
    this.#wallClock = wallClock;
  }

  publication({ name }: Parameters<Landing['publication']>[0], message: Parameters<Landing['publication']>[1]) {
    const verdict = this.#origin.judge(name, this.#wallClock());
    const { sequence, properties, body } = message;
    if (verdict.is === 'ok') return { id: sequence, exchange: '', routingKey: verdict.address, properties, body };
    // Nothing that a broker has stored is lost without a trace: the replier's side parks it.
    if (verdict.is === 'expired' && deliveryMode(properties) === 2)
      return { outcome: 'poison' as const, detail: 'the reply came after its address had expired' };
    this.#metrics.repliesDropped(dropOf(verdict), 1);
    return { outcome: 'confirmed' as const, detail: undefined };
  }

  outcome({ name }: Parameters<Landing['outcome']>[0], outcome: PublishOutcome, messages: number): PublishOutcome {
    if (outcome === 'returned') {
      this.#metrics.repliesDropped('late', messages);
      return 'confirmed';
    }
    // Its requester's node has gone, or the address was made up.
    if (outcome === 'poison' && this.isolated({ name })) {
      this.#metrics.repliesDropped('unroutable', messages);
      return 'confirmed';
    }
    return outcome;
  }

  /** A direct reply may end the connection that it is published by. */
  isolated({ name }: { readonly name: string }): boolean {
    const verdict = this.#origin.judge(name, this.#wallClock());
    return verdict.is === 'ok' && verdict.direct;
  }
}
