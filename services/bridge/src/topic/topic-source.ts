import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import { selects } from '@tombolo/topology/filter';
import type { Connector } from '@tombolo/topology/topology';
import { type Binding, bindingText } from '@tombolo/wire/binding';
import type { BindingsFrame, Destination } from '@tombolo/wire/frame';
import type { TopicBufferView } from '../admin/view.ts';
import type { Broker, Delivery } from '../broker/port.ts';
import { type Agreement, keyedExchange } from '../routing/agreement.ts';
import type { Route, Unserved } from '../routing/route-table.ts';
import type { Router } from '../routing/router.ts';
import type { ShellLog } from '../stream/shell.ts';
import type { SourceHalf } from '../stream/source-half.ts';
import { unroutable } from '../stream/source-openings.ts';
import { BindingCopy } from './bindings.ts';
import { bufferBindings, captureRefusal, rebinding } from './buffer-bindings.ts';
import { bufferName, parseBufferName } from './buffer-name.ts';
import { type CapturedExchange, isForwardedElsewhere } from './capture.ts';
import { narrowedBinding } from './narrowed-binding.ts';
import type { SeenExchanges } from './seen-exchanges.ts';

export interface TopicSourceOptions {
  readonly cluster: string;
  readonly agreement: Agreement;
  readonly router: Router;
  readonly broker: Broker;
  readonly source: Pick<SourceHalf, 'draw' | 'release'>;
  readonly seen: SeenExchanges;
  readonly clock: Clock;
  readonly log: ShellLog;
  /** Whether a bridge of this cluster published the message. */
  readonly bridged: (delivery: Delivery) => boolean;
}

const ASK_AGAIN_MS = 2_000;
const RETRY_MS = 5_000;
const LOOK_MS = 5_000;
/** How long a buffer outlives its demand, once that is withdrawn: a subscriber that comes back misses nothing. */
const GRACE_MS = 30_000;

/** The demand of one sink for one exchange, and the buffer that captures for it. */
interface Subscription {
  readonly sink: string;
  readonly exchange: string;
  readonly destination: Destination;
  readonly buffer: string;
  readonly copy: BindingCopy;
  connector: Connector | undefined;
  type: string;
  /** What the buffer is bound with; undefined: it has to be looked at. */
  bound: readonly Binding[] | undefined;
  /** By exchange, what was bound for this sink when this buffer was last seen empty. */
  trusted: ReadonlyMap<string, ReadonlySet<string>>;
  /** The advertisement that bindings were asked for. */
  asked: string;
  askAgainAt: number;
  syncAt: number;
  removeAt: number;
  lookAt: number;
  syncing: boolean;
  drawing: boolean;
  messages: number;
  bytes: number | undefined;
}

/**
 * The source's side of topics: for each sink that wants messages of an exchange a buffer, bound with what the sink's own exchange
 * is bound with, drawn from like a queue. It is deleted some time after the sink has withdrawn its demand, and never because the sink
 * cannot be reached: then the broker lets it expire.
 */
export class TopicSource {
  readonly #options: TopicSourceOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #wakes: Wakes<Subscription>;
  #brokerUp = false;
  #closed = false;

  constructor(options: TopicSourceOptions) {
    this.#options = options;
    this.#wakes = new Wakes(options.clock, (subscription) => this.#wake(subscription));
  }

  // ---- what is told --------------------------------------------------------------------------------------------------------

  brokerUp(up: boolean): void {
    if (up === this.#brokerUp) return;
    this.#brokerUp = up;
    for (const subscription of this.#subscriptions.values()) {
      // Whoever was away may find buffers expired, or another broker.
      subscription.bound = undefined;
      if (up) this.#syncSoon(subscription, 0);
    }
  }

  /** An exchange of the own broker came, went, or is another now. */
  exchangeChanged(exchange: string): void {
    for (const subscription of this.#subscriptions.values()) {
      if (
        subscription.exchange === exchange &&
        this.#options.seen.all.get(exchange)?.properties.type !== subscription.type
      ) {
        subscription.bound = undefined;
        this.#syncSoon(subscription, 0);
      }
    }
  }

  routeChanged(route: Route): void {
    const { sink, destination, state, best, last } = route;
    if (destination.kind !== 'topic') return;
    const known = this.#subscriptions.get(keyOf(sink, destination.name));
    const now = this.#options.clock.now();
    if (state !== 'standing') {
      if (known && state === 'withdrawn') known.removeAt = now + GRACE_MS;
      if (known) this.#plan(known);
      return;
    }
    const subscription = known ?? this.#subscribe(sink, destination);
    subscription.removeAt = Number.POSITIVE_INFINITY;
    if (!best) {
      route.unserved = unroutable(route, (neighbour) => this.#options.agreement.outbound(neighbour, destination));
      return this.#plan(subscription);
    }
    const advertisement = `${last.incarnation}.${last.version}`;
    if (subscription.asked !== advertisement) {
      subscription.asked = advertisement;
      this.#ask(subscription);
    }
    this.#syncSoon(subscription, 0);
  }

  answered({ sink, exchange, update }: BindingsFrame): void {
    const subscription = this.#subscriptions.get(keyOf(sink, exchange));
    if (!subscription) return;
    const said = subscription.copy.apply(update);
    if (said === 'gap') return this.#ask(subscription);
    if (said === 'waiting') return;
    subscription.askAgainAt = Number.POSITIVE_INFINITY;
    if (said === 'changed') this.#syncSoon(subscription, 0);
    else this.#plan(subscription);
  }

  /** The stream of a buffer has ended: the buffer is gone, or is to go. */
  ended(sink: string, { name }: Destination): void {
    const subscription = this.#subscriptions.get(keyOf(sink, name));
    if (!subscription || this.#closed) return;
    subscription.drawing = false;
    subscription.bound = undefined;
    if (subscription.removeAt <= this.#options.clock.now()) void this.#remove(subscription);
    else this.#syncSoon(subscription, RETRY_MS);
  }

  close(): void {
    this.#closed = true;
    this.#wakes.clear();
  }

  // ---- what is asked -------------------------------------------------------------------------------------------------------

  /** Why a message in the buffer is not to be forwarded from there, as a word for metrics, or undefined. */
  screen(sink: string, { name }: Destination, delivery: Delivery): string | undefined {
    if (this.#options.bridged(delivery)) return 'already_bridged';
    const subscription = this.#subscriptions.get(keyOf(sink, name));
    if (!subscription) return undefined;
    const { connector } = subscription;
    if (name === keyedExchange && connector) {
      if (!selects(connector, { kind: 'topic', name: delivery.routingKey }).permitted) return 'filtered';
    }
    if (delivery.exchange === name) return undefined;
    const { bindingsBetween } = this.#options.seen;
    const elsewhere = isForwardedElsewhere(delivery, name, this.#captures(subscription), bindingsBetween);
    return elsewhere ? 'captured_elsewhere' : undefined;
  }

  views(): TopicBufferView[] {
    return [...this.#subscriptions.values()]
      .filter(({ bound }) => bound !== undefined)
      .map(({ sink, exchange, connector, messages, bytes }) => ({
        sink,
        exchange,
        connector: connector?.name ?? '',
        messages,
        bytes,
        limitBytes: connector?.topicBuffer.maxBytes ?? 0,
      }));
  }

  /** Buffers for this sink, whoever made them, with the messages that they hold; deleted unless it is a dry run. */
  async cleanup(sink: string, dryRun: boolean): Promise<{ readonly queue: string; readonly messages: number }[]> {
    const { broker } = this.#options;
    const names = (await broker.buffers.list()) ?? [...this.#subscriptions.values()].map(({ buffer }) => buffer);
    const found: { queue: string; messages: number }[] = [];
    for (const queue of names.filter((name) => parseBufferName(name)?.sink === sink)) {
      const inspection = await broker.source.inspect(queue);
      if (!inspection) continue;
      found.push({ queue, messages: inspection.ready });
      if (!dryRun) await broker.buffers.delete(queue);
    }
    return found;
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #subscribe(sink: string, destination: Destination): Subscription {
    const never = Number.POSITIVE_INFINITY;
    const subscription: Subscription = {
      sink,
      exchange: destination.name,
      destination,
      buffer: bufferName(sink, destination.name),
      copy: new BindingCopy(),
      connector: undefined,
      type: '',
      bound: undefined,
      trusted: new Map(),
      asked: '',
      askAgainAt: never,
      syncAt: never,
      removeAt: never,
      lookAt: never,
      syncing: false,
      drawing: false,
      messages: 0,
      bytes: undefined,
    };
    this.#subscriptions.set(keyOf(sink, destination.name), subscription);
    return subscription;
  }

  #ask(subscription: Subscription): void {
    const { cluster, clock, router } = this.#options;
    const { sink, exchange, copy } = subscription;
    const held = copy.held ?? { incarnation: 0, version: 0 };
    router.send({ kind: 'bindings-request', source: cluster, sink, exchange, ...held });
    subscription.askAgainAt = clock.now() + ASK_AGAIN_MS;
    this.#plan(subscription);
  }

  #syncSoon(subscription: Subscription, ms: number): void {
    subscription.syncAt = Math.min(subscription.syncAt, this.#options.clock.now() + ms);
    this.#plan(subscription);
  }

  #plan(subscription: Subscription): void {
    const { askAgainAt, syncAt, removeAt, lookAt } = subscription;
    if (!this.#closed) this.#wakes.set(subscription, Math.min(askAgainAt, syncAt, removeAt, lookAt));
  }

  #wake(subscription: Subscription): void {
    const now = this.#options.clock.now();
    const never = Number.POSITIVE_INFINITY;
    if (now >= subscription.removeAt) {
      Object.assign(subscription, { askAgainAt: never, syncAt: never, lookAt: never });
      this.#wakes.delete(subscription);
      const { sink, destination } = subscription;
      if (subscription.drawing) this.#options.source.release(sink, destination, 'nobody there has subscribed any more');
      else void this.#remove(subscription);
      return;
    }
    if (now >= subscription.askAgainAt) {
      subscription.askAgainAt = never;
      if (this.#way(subscription)) this.#ask(subscription);
      else subscription.asked = '';
    }
    if (now >= subscription.syncAt && !subscription.syncing) {
      subscription.syncAt = never;
      void this.#sync(subscription);
    }
    if (now >= subscription.lookAt) {
      subscription.lookAt = now + LOOK_MS;
      void this.#look(subscription);
    }
    this.#plan(subscription);
  }

  #way({ sink, destination }: Subscription): Route['best'] {
    return this.#options.router.table.get(sink, destination)?.best;
  }

  /** Makes the buffer what the sink's bindings want it to be, and draws from it. */
  async #sync(subscription: Subscription): Promise<void> {
    subscription.syncing = true;
    const { sink, destination } = subscription;
    const route = this.#options.router.table.get(sink, destination);
    try {
      const unserved = await this.#carryOut(subscription);
      if (route) route.unserved = unserved;
      if (unserved) this.#syncSoon(subscription, RETRY_MS);
    } catch (thrown) {
      subscription.bound = undefined;
      const detail = messageOf(thrown);
      if (route && route.unserved?.detail !== detail)
        this.#options.log.warn({ exchange: destination.name, peer: sink, reason: detail }, 'topic buffer failed');
      if (route) route.unserved = { reason: 'no_permission', detail };
      if (this.#brokerUp) this.#syncSoon(subscription, RETRY_MS);
    } finally {
      subscription.syncing = false;
      this.#plan(subscription);
    }
  }

  async #carryOut(subscription: Subscription): Promise<Unserved | undefined> {
    const { agreement, broker, cluster, log, seen } = this.#options;
    const { sink, exchange, destination, buffer, copy } = subscription;
    const way = this.#way(subscription);
    const passage = way && agreement.outbound(way.neighbour, destination);
    if (!passage?.open || !copy.held || !this.#brokerUp) return undefined;
    const { connector } = passage;
    const type = seen.all.get(exchange)?.properties.type ?? (await broker.buffers.exchange(exchange))?.type;
    if (type === undefined) {
      return { reason: 'queue_absent', detail: `exchange ${exchange} does not exist on ${cluster}` };
    }
    const refusal = captureRefusal(type);
    if (refusal) return { reason: 'refused', detail: `exchange ${exchange} on ${cluster}: ${refusal}` };
    if (subscription.bound === undefined) {
      const { queueType, ttlMs, maxLength, maxBytes } = connector.topicBuffer;
      await broker.buffers.declare(buffer, { type: queueType, ttlMs, maxLength, maxBytes });
    }
    const present = subscription.bound ?? (await this.#present(buffer, exchange));
    const wanted = bufferBindings(
      type,
      exchange === keyedExchange
        ? copy.bindings.flatMap((binding) => narrowedBinding(connector, binding))
        : copy.bindings,
    );
    const { bind, unbind } = rebinding(wanted, present);
    if (bind.length > 0) await broker.buffers.bind(buffer, exchange, bind);
    if (unbind.length > 0) await broker.buffers.unbind(buffer, exchange, unbind);
    if (this.#closed || subscription.removeAt !== Number.POSITIVE_INFINITY) return undefined;
    Object.assign(subscription, { bound: wanted, connector, type });
    if (bind.length + unbind.length > 0)
      log.debug({ exchange, peer: sink, bound: wanted.length }, 'topic buffer bound');
    if (subscription.lookAt === Number.POSITIVE_INFINITY) subscription.lookAt = 0;
    const unserved = this.#options.source.draw(sink, destination, {
      type: connector.topicBuffer.queueType,
      durable: true,
    });
    subscription.drawing = unserved === undefined;
    return unserved;
  }

  async #present(buffer: string, exchange: string): Promise<Binding[]> {
    const bindings = await this.#options.broker.buffers.bindings(buffer);
    return (bindings ?? []).filter((each) => each.exchange === exchange).map(({ binding }) => binding);
  }

  async #look(subscription: Subscription): Promise<void> {
    if (!this.#brokerUp || subscription.bound === undefined) return;
    const before = this.#boundFor(subscription.sink);
    const found = await this.#options.broker.source
      .inspect(subscription.buffer, { bytes: true })
      .catch(() => undefined);
    if (!found) return;
    subscription.messages = found.ready;
    // Of a queue that has been empty since it was made, the broker tells no bytes.
    subscription.bytes = found.bytes ?? (found.ready === 0 ? 0 : undefined);
    if (found.ready === 0) subscription.trusted = before;
  }

  #boundFor(sink: string): ReadonlyMap<string, ReadonlySet<string>> {
    const all = [...this.#subscriptions.values()].filter((each) => each.sink === sink && each.bound);
    return new Map(all.map(({ exchange, bound = [] }) => [exchange, new Set(bound.map(bindingText))]));
  }

  /** What captured for this sink before the oldest message of this buffer was published, and still does. */
  #captures({ sink, trusted }: Subscription): ReadonlyMap<string, CapturedExchange> {
    const captures = new Map<string, CapturedExchange>();
    for (const { sink: other, exchange, bound = [], type } of this.#subscriptions.values()) {
      const old = other === sink ? trusted.get(exchange) : undefined;
      if (old) captures.set(exchange, { type, bindings: bound.filter((binding) => old.has(bindingText(binding))) });
    }
    return captures;
  }

  async #remove(subscription: Subscription): Promise<void> {
    const { sink, exchange, buffer } = subscription;
    this.#subscriptions.delete(keyOf(sink, exchange));
    this.#wakes.delete(subscription);
    try {
      const fate = await this.#options.broker.buffers.delete(buffer);
      this.#options.log.info(
        { queue: buffer, peer: sink, fate },
        'topic buffer removed: nobody there has subscribed any more',
      );
    } catch (thrown) {
      this.#options.log.warn(
        { queue: buffer, reason: messageOf(thrown) },
        'a topic buffer could not be deleted; it will expire',
      );
    }
    // The demand may have come back meanwhile.
    const route = this.#options.router.table.get(sink, subscription.destination);
    if (route && !this.#closed && !this.#subscriptions.has(keyOf(sink, exchange))) this.routeChanged(route);
  }
}

function keyOf(sink: string, exchange: string): string {
  return `${sink}\u0000${exchange}`;
}
