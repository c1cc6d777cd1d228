import type { ControlFrame, Frame, StreamMessage } from '@tombolo/wire/frame';
import type { SourceEffect, Taken } from '../../src/stream/effects.ts';
import { Orphans } from '../../src/stream/orphans.ts';
import { SinkDestination } from '../../src/stream/sink-destination.ts';
import type { DestinationEffect } from '../../src/stream/sink-streams.ts';
import { SourceStream } from '../../src/stream/source-machine.ts';
import { seeded } from './chance.ts';

export interface Faults {
  /** Chance that a frame is lost, and largest extra delay that lets frames overtake each other (ms). */
  loss: number;
  jitter: number;
  linkCuts: number;
  sourceCrashes: number;
  sourceBrokerCuts: number;
  sinkBrokerCuts: number;
  sinkCrashes: number;
  /** The sink's bridge is stopped in good order, and started anew. */
  sinkStops: number;
  consumerMoves: number;
  /** The sink's demand is withdrawn, and comes back later. */
  withdrawals: number;
  /** For a while the sink's broker returns what is published (its queue is gone). */
  returns: number;
}

export const noFaults: Faults = {
  loss: 0,
  jitter: 0,
  linkCuts: 0,
  sourceCrashes: 0,
  sourceBrokerCuts: 0,
  sinkBrokerCuts: 0,
  sinkCrashes: 0,
  sinkStops: 0,
  consumerMoves: 0,
  withdrawals: 0,
  returns: 0,
};

interface Stored {
  readonly body: number;
  redelivered: boolean;
}

const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'q' } } as const;

/**
 * One source and one sink with the brokers behind them as models: a queue that redelivers what is not acknowledged, a queue
 * that confirms, a consumer with a prefetch. The stream machines are the real ones; everything else is time and chance.
 */
export class PairSimulation {
  now = 0;
  readonly consumed: number[] = [];
  /** Most ready messages ever seen in the sink's queue while its consumer was there. */
  mostReady = 0;
  creditExceeded = 0;
  readonly trace: string[] = [];
  #random: () => number;
  #events: { at: number; serial: number; run: () => void }[] = [];
  #serial = 0;
  /** Comparisons of the two ends' counts, and those with a difference. */
  comparisons = 0;
  readonly differences: string[] = [];

  // the source's broker
  #queue: Stored[] = [];
  #unacked = new Map<number, Stored>();
  #channel = { id: 0 };
  #tag = 0;
  #consumer: { generation: number; prefetch: number; held: Set<number>; cancelling: boolean } | undefined;

  // the sink's broker
  sinkQueue: number[] = [];
  #sinkBrokerLife = 0;
  #unacknowledged = 0;
  #consumers = 1;

  // the bridges
  #sourceLife = 0;
  #incarnation = 100;
  #orphans!: Orphans<SourceStream>;
  #source: SourceStream | undefined;
  #collected = false;
  #fresh = false;
  #epochs = 0;
  #returning = false;
  #sourceBrokerUp = true;
  #sink!: SinkDestination;
  #sinkIncarnation = 500;
  #sinkLife = 0;
  #sinkStopping = false;
  #linkUp = false;
  #linkLife = 0;
  #sourceWake = Number.POSITIVE_INFINITY;
  #sinkWake = Number.POSITIVE_INFINITY;

  readonly messages: number;
  readonly faults: Faults;
  readonly prefetch: number;
  readonly consumeMs: number;
  readonly confirmMs: number;

  /** @param options `confirmMs`: how long the sink's broker takes to confirm, default 1 */
  constructor(
    seed: number,
    options: { messages: number; faults: Faults; prefetch: number; consumeMs: number; confirmMs?: number },
  ) {
    this.#random = seeded(seed);
    this.messages = options.messages;
    this.faults = options.faults;
    this.prefetch = options.prefetch;
    this.consumeMs = options.consumeMs;
    this.confirmMs = options.confirmMs ?? 1;
  }

  /** Runs until everything is consumed, or until `limitMs` of virtual time. */
  run(limitMs = 600_000): void {
    for (let i = 0; i < this.messages; i++) {
      this.#at(1 + (400 * i) / this.messages, () => {
        this.#queue.push({ body: i, redelivered: false });
        this.#feed();
      });
    }
    this.#startSink();
    this.#startSource();
    this.#linkUpSoon(1);
    this.#schedule('linkCuts', () => this.#cutLink());
    this.#schedule('sourceCrashes', () => this.#crashSource());
    this.#schedule('sourceBrokerCuts', () => this.#cutSourceBroker());
    this.#schedule('sinkBrokerCuts', () => this.#cutSinkBroker());
    this.#schedule('sinkCrashes', () => this.#crashSink());
    this.#schedule('sinkStops', () => this.#stopSink());
    this.#schedule('consumerMoves', () => this.#moveConsumer());
    this.#schedule('withdrawals', () => this.#withdraw());
    this.#schedule('returns', () => {
      this.#returning = true;
      this.#at(this.#random() * 300, () => {
        this.#returning = false;
      });
    });
    while (this.now < limitMs && this.consumed.length < this.messages + 1_000_000) {
      const next = this.#next();
      if (!next) break;
      this.now = Math.max(this.now, next.at);
      next.run();
      this.mostReady = Math.max(this.mostReady, this.#consumers > 0 ? this.sinkQueue.length : 0);
      if (this.#done()) break;
    }
  }

  #done(): boolean {
    return (
      new Set(this.consumed).size === this.messages &&
      this.#queue.length === 0 &&
      this.#unacked.size === 0 &&
      this.sinkQueue.length === 0
    );
  }

  #at(delay: number, run: () => void): void {
    this.#events.push({ at: this.now + delay, serial: this.#serial++, run });
  }

  #schedule(fault: keyof Faults, run: () => void): void {
    for (let i = 0; i < this.faults[fault]; i++) {
      this.#at(20 + this.#random() * 1_500, () => {
        this.trace.push(`${this.now.toFixed(1)} ${fault}`);
        run();
      });
    }
  }

  #next(): { at: number; run: () => void } | undefined {
    let best = -1;
    for (let i = 0; i < this.#events.length; i++) {
      const a = this.#events[i]!;
      const b = this.#events[best];
      if (!b || a.at < b.at || (a.at === b.at && a.serial < b.serial)) best = i;
    }
    const wake = Math.min(this.#sourceWake, this.#sinkWake);
    if (wake !== Number.POSITIVE_INFINITY && (best < 0 || wake < this.#events[best]!.at)) {
      return {
        at: wake,
        run: () =>
          this.#sourceWake <= this.#sinkWake
            ? this.#onSource((s) => s.wake(this.now))
            : this.#onSink((s) => s.wake(this.now)),
      };
    }
    return best < 0 ? undefined : this.#events.splice(best, 1)[0];
  }

  // ---- bridges ---------------------------------------------------------------------------------------------------------

  #startSource(): void {
    this.#sourceLife++;
    this.#incarnation++;
    this.#orphans = new Orphans();
    this.#collected = false;
    this.#fresh = false;
    this.#openStream();
    if (this.#linkUp) this.#sourceLinked();
  }

  #openStream(): void {
    this.#source = new SourceStream(
      {
        address,
        connector: 'west-east',
        epoch: { incarnation: this.#incarnation, epoch: ++this.#epochs },
        queue: { durable: true },
        largestWindow: 100,
        prefetchBytes: 1_000_000,
        holdMs: 60_000,
      },
      {
        orphans: this.#orphans,
        bytesFree: () => 10_000_000,
        turns: () => 1,
        barred: () => (this.#collected ? undefined : { reason: 'collecting', detail: 'collecting' }),
        sawFresh: () => {
          this.#orphans.sawFresh(false, this.now);
          this.#fresh = true;
        },
      },
    );
  }

  #sourceLinked(): void {
    // The link's first frame: what of the predecessors is in doubt at the sink.
    const life = this.#sourceLife;
    const ask = () => {
      if (life !== this.#sourceLife || !this.#linkUp || this.#collected) return;
      for (const stream of this.#sink.streams.values()) stream.supersede(this.#incarnation, this.now);
      if ([...this.#sink.streams.values()].some((stream) => stream.undecided)) return this.#at(5, ask);
      this.#at(2, () => {
        if (life !== this.#sourceLife || !this.#linkUp || this.#collected) return;
        for (const stream of this.#sink.streams.values()) {
          for (const { digest, hasId } of stream.inDoubt()) this.#orphans.accepted(digest, hasId, this.now);
        }
        this.#collected = true;
        this.#onSource((source) => source.reconsider(this.now));
      });
    };
    this.#at(2, ask);
    this.#onSource((source) => source.linkUp(this.now));
  }

  #startSink(): void {
    this.#sinkLife++;
    this.#sinkIncarnation++;
    this.#sink = new SinkDestination('east', this.#sinkIncarnation, address.destination, { usual: 50, largest: 100 });
    this.#onSink((sink) => sink.brokerUp(true, this.now));
    this.#onSink((sink) => sink.demand(this.#consumers > 0 ? this.prefetch : 0, this.now));
  }

  #onSource(act: (source: SourceStream) => SourceEffect[]): void {
    if (!this.#source) return;
    const source = this.#source;
    const life = this.#sourceLife;
    for (const effect of act(source)) this.#sourceEffect(source, effect, life);
    this.#sourceWake = source.nextWake();
    // What was collected may be forgotten once the recognised messages are known to be removed.
    if (this.#fresh && !source.suppressing) for (const stream of this.#sink.streams.values()) stream.forget(this.now);
  }

  #sourceEffect(source: SourceStream, effect: SourceEffect, life: number): void {
    switch (effect.do) {
      case 'send':
        this.#transmit(effect.frame, 'sink');
        break;
      case 'offer':
        this.#at(0, () => {
          if (life !== this.#sourceLife) return;
          for (let frame = source.nextBatch(2_000, this.now); frame; frame = source.nextBatch(2_000, this.now))
            this.#transmit(frame, 'sink');
          this.#sourceWake = source.nextWake();
        });
        break;
      case 'consume':
        this.#consumer = {
          generation: effect.generation,
          prefetch: effect.prefetch,
          held: new Set(),
          cancelling: false,
        };
        this.#at(1, () => this.#feed());
        break;
      case 'cancel': {
        const consumer = this.#consumer;
        this.#at(1, () => {
          if (life !== this.#sourceLife || !consumer || this.#consumer !== consumer) return;
          this.#consumer = undefined;
          this.#at(
            1,
            () =>
              life === this.#sourceLife &&
              this.#onSource((s) => s.consumerEnded(effect.generation, { why: 'cancelled' }, this.now)),
          );
        });
        break;
      }
      case 'acknowledge':
        for (const { tag, channel } of effect.tokens) {
          const channelId = channel;
          this.#at(0.5, () => {
            if (channelId !== this.#channel) return;
            this.#unacked.delete(tag);
            this.#consumer?.held.delete(tag);
            this.#feed();
          });
        }
        break;
      case 'requeue':
        for (const { tag, channel } of effect.tokens)
          this.#at(0.5, () => channel === this.#channel && this.#requeue([tag]));
        break;
      case 'flush': {
        const channel = effect.token.channel;
        this.#at(
          1,
          () =>
            life === this.#sourceLife &&
            this.#onSource((s) => s.flushed(effect.id, channel === this.#channel, this.now)),
        );
        break;
      }
      case 'compared':
        this.#compared(effect.count, effect.difference);
        break;
      default:
        break;
    }
  }

  #compared(count: string, { lost, doubled }: { readonly lost: number; readonly doubled: number }): void {
    this.comparisons++;
    if (lost + doubled > 0) this.differences.push(`${this.now.toFixed(1)} ${count}: ${lost} lost, ${doubled} doubled`);
  }

  #onSink(act: (sink: SinkDestination) => DestinationEffect[]): void {
    const life = this.#sinkLife;
    for (const effect of act(this.#sink)) {
      if (effect.do === 'probe') {
        const broker = this.#sinkBrokerLife;
        this.#at(0.5, () => {
          const ready = this.sinkQueue.length;
          this.#at(
            0.5,
            () =>
              life === this.#sinkLife &&
              this.#onSink((s) => s.probed(broker === this.#sinkBrokerLife ? ready : undefined, this.now)),
          );
        });
      } else if (effect.effect.do === 'compared') this.#compared(effect.effect.count, effect.effect.difference);
      else if (effect.effect.do === 'send') this.#transmit(effect.effect.frame, 'source');
      else if (effect.effect.do === 'publish') this.#publish(effect.effect.messages);
    }
    this.#sinkWake = this.#sink.nextWake();
  }

  #publish(messages: readonly StreamMessage[]): void {
    const life = this.#sinkLife;
    const broker = this.#sinkBrokerLife;
    const sink = this.#sink;
    const epoch = sink.streams.get('west')!.epoch!;
    const returned = this.#returning;
    this.#at(0.5, () => {
      if (returned) return;
      // A cut connection may lose the publish, or only its confirm.
      if (broker !== this.#sinkBrokerLife && this.#random() < 0.5) return;
      for (const message of messages) this.sinkQueue.push(Number(Buffer.from(message.body).toString()));
      this.#serve();
    });
    this.#at(this.confirmMs, () => {
      if (life !== this.#sinkLife) return;
      const outcome = returned ? 'returned' : broker === this.#sinkBrokerLife ? 'confirmed' : 'unknown';
      this.#onSink((s) =>
        s.outcome(
          'west',
          epoch,
          messages.map((m) => m.sequence),
          outcome,
          undefined,
          this.now,
        ),
      );
    });
  }

  #transmit(frame: Frame, to: 'source' | 'sink'): void {
    const life = this.#linkLife;
    if (!this.#linkUp || this.#random() < this.faults.loss) return;
    this.#at(1 + this.#random() * this.faults.jitter, () => {
      if (life !== this.#linkLife || !this.#linkUp) return;
      if (to === 'source') this.#sourceReceives(frame as ControlFrame);
      else this.#sinkReceives(frame);
    });
  }

  #sourceReceives(frame: ControlFrame): void {
    switch (frame.kind) {
      case 'resume':
        return this.#onSource((s) => s.resumed(frame, this.now));
      case 'credit':
        return this.#onSource((s) => s.credited(frame, this.now));
      case 'settle':
        return this.#onSource((s) => s.settled(frame, this.now));
      case 'gap':
        return this.#onSource((s) => s.missed(frame, frame.missing, this.now));
      default:
        return;
    }
  }

  #sinkReceives(frame: Frame): void {
    switch (frame.kind) {
      case 'open':
        return this.#onSink((s) => s.opened(frame, this.now));
      case 'messages':
        return this.#onSink((s) => s.messages(frame, this.now));
      case 'state':
        return this.#onSink((s) => s.stated(frame, this.now));
      case 'closed':
        return this.#onSink((s) => s.closed(frame, this.now));
      default:
        return;
    }
  }

  // ---- brokers -----------------------------------------------------------------------------------------------------------

  #feed(): void {
    const consumer = this.#consumer;
    if (!consumer) return;
    const batch: Taken[] = [];
    while (this.#queue.length > 0 && consumer.held.size < consumer.prefetch) {
      const stored = this.#queue.shift()!;
      const tag = ++this.#tag;
      this.#unacked.set(tag, stored);
      consumer.held.add(tag);
      const digest = new Uint8Array(16);
      new DataView(digest.buffer).setUint32(0, stored.body);
      batch.push({
        token: { channel: this.#channel, tag },
        redelivered: stored.redelivered,
        digest,
        hasId: false,
        exchange: '',
        routingKey: 'q',
        original: new Uint8Array(2),
        properties: new Uint8Array(2),
        body: Buffer.from(String(stored.body)),
        at: this.now,
      });
    }
    if (batch.length === 0) return;
    const life = this.#sourceLife;
    const channel = this.#channel;
    this.#at(0.5, () => {
      if (life === this.#sourceLife && channel === this.#channel)
        this.#onSource((s) => s.delivered(consumer.generation, batch, this.now));
    });
  }

  #requeue(tags: readonly number[]): void {
    const back: Stored[] = [];
    for (const tag of tags) {
      const stored = this.#unacked.get(tag);
      if (!stored) continue;
      this.#unacked.delete(tag);
      this.#consumer?.held.delete(tag);
      stored.redelivered = true;
      back.push(stored);
    }
    this.#queue = [...back, ...this.#queue].sort((a, b) => a.body - b.body);
    this.#feed();
  }

  #serve(): void {
    while (this.#consumers > 0 && this.sinkQueue.length > 0 && this.#unacknowledged < this.prefetch) {
      const body = this.sinkQueue.shift()!;
      this.#unacknowledged++;
      this.consumed.push(body);
      this.#at(this.consumeMs, () => {
        this.#unacknowledged--;
        this.#serve();
      });
    }
  }

  // ---- faults --------------------------------------------------------------------------------------------------------------

  #linkUpSoon(ms: number): void {
    this.#at(ms, () => {
      if (this.#linkUp) return;
      this.#linkUp = true;
      this.#linkLife++;
      if (this.#source) this.#sourceLinked();
    });
  }

  #cutLink(): void {
    if (this.#linkUp) {
      this.#linkUp = false;
      this.#linkLife++;
      this.#onSource((s) => s.linkLost(this.now));
      this.#onSink((s) => s.linkLost('west', this.now));
    }
    this.#linkUpSoon(5 + this.#random() * 300);
  }

  #crashSource(): void {
    this.#source = undefined;
    this.#sourceWake = Number.POSITIVE_INFINITY;
    this.#sourceLife++;
    this.#channel = { id: this.#channel.id + 1 };
    this.#consumer = undefined;
    if (this.#linkUp) {
      this.#linkUp = false;
      this.#linkLife++;
      this.#onSink((s) => s.linkLost('west', this.now));
    }
    this.#requeue([...this.#unacked.keys()]);
    this.#at(50, () => {
      if (!this.#source) this.#startSource();
    });
    this.#linkUpSoon(60);
  }

  #cutSourceBroker(): void {
    this.#channel = { id: this.#channel.id + 1 };
    this.#consumer = undefined;
    this.#sourceBrokerUp = false;
    this.#onSource((s) => s.brokerUp(false, this.now));
    this.#requeue([...this.#unacked.keys()]);
    this.#at(100, () => {
      this.#sourceBrokerUp = true;
      this.#onSource((s) => s.brokerUp(true, this.now));
    });
  }

  #cutSinkBroker(): void {
    this.#sinkBrokerLife++;
    this.#onSink((s) => s.brokerUp(false, this.now));
    this.#at(100, () => this.#onSink((s) => s.brokerUp(true, this.now)));
  }

  #crashSink(): void {
    this.#sinkLife++;
    if (this.#linkUp) {
      this.#linkUp = false;
      this.#linkLife++;
      this.#onSource((s) => s.linkLost(this.now));
    }
    this.#startSink();
    this.#linkUpSoon(60);
  }

  /** It drains, says its last words, and leaves; nothing of it is known to the next one. */
  #stopSink(): void {
    if (this.#sinkStopping) return;
    this.#sinkStopping = true;
    this.#onSink((s) => s.drain(this.now));
    const look = () => {
      if (!this.#sink.quiet) return this.#at(1, look);
      // What was sent before the goodbye arrives before it.
      this.#at(1 + this.faults.jitter, () => {
        this.#sinkStopping = false;
        this.#crashSink();
      });
    };
    look();
  }

  #withdraw(): void {
    if (this.#consumers === 0) return;
    this.#consumers = 0;
    this.#onSink((s) => s.demand(0, this.now));
    this.#onSink((s) => s.withdraw(this.now));
    this.#at(2, () => this.#onSource((s) => s.withdraw('no consumer', this.now)));
    this.#at(3 + this.#random() * 300, () => {
      this.#consumers = 1;
      this.#onSink((s) => s.demand(this.prefetch, this.now));
      this.#serve();
      this.#at(2, () => this.#demanded());
    });
  }

  #demanded(): void {
    if (!this.#source) return;
    if (this.#source.phase !== 'ended') return this.#onSource((s) => s.demanded(this.now));
    this.#openStream();
    if (!this.#sourceBrokerUp) this.#onSource((s) => s.brokerUp(false, this.now));
    if (this.#linkUp) this.#onSource((s) => s.linkUp(this.now));
  }

  #moveConsumer(): void {
    if (this.#consumers === 0) return;
    this.#consumers = 0;
    this.#onSink((s) => s.demand(0, this.now));
    this.#at(this.#random() * 200, () => {
      this.#consumers = 1;
      this.#onSink((s) => s.demand(this.prefetch, this.now));
      this.#serve();
    });
  }
}
