import { messageOf } from '@tombolo/kernel/fault';
import type { DemandListener, DemandWatch } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import type { RabbitUri } from './config.ts';
import { ConsumerTable, type DemandChange, type QueueFact } from './consumer-table.ts';
import { parseErlangArguments } from './erlang-args.ts';
import type { EventFeed } from './event-feed.ts';
import type { ConsumerFact } from './listed-consumers.ts';
import type { Management } from './management.ts';
import { PassiveWatch } from './passive-watch.ts';
import type { Prober } from './probe.ts';
import { type QueueFacts, queueProperties } from './queue-properties.ts';

const keys = ['consumer.*', 'queue.*', 'channel.closed', 'connection.closed'];
/** With events a snapshot only corrects; without them it is all there is. */
const reconcileMs = 30_000;
const pollMs = 1_000;
const debounceMs = 100;
/** Management's lists lag by a statistics interval: a second look after it. */
const settleMs = 6_000;
/** What came before the first events is in lists only, and in these after two such intervals at worst. */
const catchUpMs = 11_000;
/** How many queues are looked at one by one when a list shows no consumers of them any more. */
const mostDoubted = 200;
/** Lists of a thousand queues take the broker a third of a second: no more than this share of its time. */
const restPerLook = { withEvents: 10, without: 3 };
/** A failed snapshot is tried again. */
const retryMs = 2_000;

export type Names = { readonly matches: (queue: string) => boolean; readonly exact: readonly string[] };

/**
 * Demand on one virtual host. Snapshots come from the management API, events cut the latency; where there is no management
 * API, the exact names are looked at by passive declares.
 */
export class RabbitDemandWatch implements DemandWatch {
  readonly #surroundings: Surroundings;
  readonly #table = new ConsumerTable();
  readonly #management: Management | undefined;
  readonly #passive: PassiveWatch;
  readonly #prober: Prober;
  readonly #own: (queue: string) => number;
  #vhost = '/';
  #listener: DemandListener | undefined;
  #attached = false;
  #flowing = false;
  #visible = false;
  #looking = false;
  #managementFails = false;
  /** Until then lists may miss what no event has told: they are read as if there were no events. */
  #catchUpUntil = 0;
  /** When the next snapshot is due, and what cancels its wake. */
  #due: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(
    views: { readonly management: Management | undefined; readonly events: EventFeed | undefined },
    surroundings: Surroundings,
    prober: Prober,
    ownConsumers: (queue: string) => number,
  ) {
    this.#surroundings = surroundings;
    this.#prober = prober;
    this.#own = ownConsumers;
    this.#management = views.management;
    views.events?.listen(keys, {
      event: (name, headers) => this.#event(name, headers),
      flowing: (flowing) => this.#flows(flowing),
    });
    this.#passive = new PassiveWatch(surroundings, prober, ownConsumers, {
      changed: (changes) => this.#tell(changes),
      visible: (visible) => this.#sees(visible),
    });
  }

  get method(): string {
    const look = this.#management ? 'management API' : 'passive declares';
    const fails = this.#managementFails ? ' (failing)' : '';
    return this.#flowing ? `${look}${fails} + events` : `${look}${fails}`;
  }

  /** The broker is connected: at this address. */
  attach(uri: RabbitUri): void {
    this.#attached = true;
    this.#vhost = uri.vhost;
    this.#catchUp();
    if (!this.#management) this.#passive.start();
  }

  /** It is not. What was told stands. */
  detach(): void {
    this.#attached = false;
    this.#flowing = false;
    this.#table.distrustEvents();
    this.#passive.stop();
    this.#due?.cancel();
    this.#due = undefined;
    this.#sees(false);
  }

  watch(names: Names, listener: DemandListener): void {
    const isNew = this.#listener !== listener;
    this.#listener = listener;
    this.#passive.watch(names.exact);
    const changes = this.#table.watch(names.matches);
    if (isNew) {
      this.#tell(this.#table.retell());
      if (this.#visible) listener.visible(true);
    } else {
      this.#tell(changes);
    }
  }

  refresh(queue?: string): void {
    if (!this.#attached) return;
    if (this.#management) this.#lookIn(debounceMs);
    else this.#passive.look(queue);
  }

  /**
   * What the queue is made of, as known, or as the management API says now. Rejects with a Fault.
   * @param weighed its bytes are wanted, which only the management API knows
   */
  async factsOf(queue: string, weighed: boolean): Promise<QueueFacts | undefined> {
    const known = this.#table.propertiesOf(queue);
    const enough = known?.type !== undefined && known.durable !== undefined;
    if (enough && !(weighed && this.#management)) return { properties: known };
    const told = this.#management?.queue(this.#vhost, queue);
    return (await (enough ? told?.catch(() => undefined) : told)) ?? (known && { properties: known });
  }

  #flows(flowing: boolean): void {
    if (this.#flowing === flowing) return;
    this.#flowing = flowing;
    // What happened before the binding is in no event, what happens without it neither.
    if (this.#attached) this.#catchUp();
  }

  #catchUp(): void {
    this.#catchUpUntil = this.#surroundings.clock.now() + catchUpMs;
    if (this.#management) this.#lookIn(0);
  }

  #event(name: string, headers: Readonly<Record<string, unknown>>): void {
    const now = this.#surroundings.clock.now();
    const text = (key: string) => (typeof headers[key] === 'string' ? (headers[key] as string) : '');
    if (name === 'channel.closed') {
      this.#tell(this.#table.channelClosed(text('pid'), now));
      if (headers['consumer_count'] !== 0) this.#lookAfterClose();
      return;
    }
    if (name === 'connection.closed') {
      this.#lookAfterClose();
      return;
    }
    if (text('vhost') !== this.#vhost) return;
    if (!this.#management) {
      // What the broker itself has ended may be back with its node: that takes a look.
      const told = name === 'queue.deleted' && byBroker(headers) ? 'queue.ended' : name;
      this.#passive.event(told, text(name.startsWith('consumer') ? 'queue' : 'name'));
      return;
    }
    switch (name) {
      case 'consumer.created': {
        const prefetch = headers['prefetch_count'];
        const fact = {
          queue: text('queue'),
          tag: text('consumer_tag'),
          channelPid: text('channel'),
          prefetch: typeof prefetch === 'number' ? prefetch : 0,
          ackRequired: headers['ack_required'] !== false,
          arguments: parseErlangArguments(headers['arguments']),
        };
        this.#tell(this.#table.consumerCreated(fact, now));
        if (this.#table.propertiesOf(fact.queue)?.type === undefined) this.#lookIn(debounceMs);
        return;
      }
      case 'consumer.deleted':
        this.#tell(this.#table.consumerDeleted(text('queue'), text('consumer_tag'), text('channel'), now));
        return;
      case 'queue.created': {
        const properties = queueProperties({ ...headers, arguments: parseErlangArguments(headers['arguments']) });
        this.#tell(this.#table.queueCreated(text('name'), properties, now));
        return;
      }
      case 'queue.deleted':
        // RabbitMQ says so of durable queues, too, whose node went: only a list tells them from those that expired.
        if (byBroker(headers) && this.#table.propertiesOf(text('name'))?.durable !== false) {
          this.#tell(this.#table.queueEnded(text('name'), now));
          this.#lookIn(0);
        } else this.#tell(this.#table.queueDeleted(text('name'), now));
        return;
    }
  }

  /** Consumers whose channel process is not known may have gone with it: only a snapshot can tell. */
  #lookAfterClose(): void {
    if (!this.#management) {
      this.#passive.look();
      return;
    }
    if (this.#table.hasUnmatched) this.#lookIn(debounceMs);
  }

  /** Sees to it that a snapshot is taken within this time. */
  #lookIn(ms: number): void {
    const { clock } = this.#surroundings;
    const at = clock.now() + ms;
    if (this.#due && this.#due.at <= at) return;
    this.#due?.cancel();
    this.#due = { at, cancel: clock.wake(at, () => void this.#look()) };
  }

  async #look(): Promise<void> {
    this.#due = undefined;
    const management = this.#management;
    if (!management || !this.#attached) return;
    if (this.#looking) {
      this.#lookIn(debounceMs);
      return;
    }
    this.#looking = true;
    const { clock } = this.#surroundings;
    const began = clock.now();
    let next = this.#flowing && began >= this.#catchUpUntil ? reconcileMs : pollMs;
    try {
      const [queues, consumers] = await Promise.all([
        management.queues(this.#vhost),
        management.consumers(this.#vhost),
      ]);
      const rest = (clock.now() - began) * (this.#flowing ? restPerLook.withEvents : restPerLook.without);
      const doubted = await this.#doubted(queues, consumers);
      if (this.#attached) {
        const changes = this.#table.snapshot(queues, consumers, clock.now(), doubted);
        // Something moved: it may have been a list that lags behind.
        if (changes.length > 0) next = Math.min(next, settleMs);
        if (this.#table.isUnsettled) next = Math.min(next, pollMs);
        next = Math.max(next, Math.min(reconcileMs, rest));
        this.#tell(changes);
        this.#sees(true);
      }
      if (this.#managementFails) this.#surroundings.log.info({}, 'the management API answers again');
      this.#managementFails = false;
    } catch (error) {
      if (!this.#managementFails) {
        this.#surroundings.log.warn(
          { reason: messageOf(error) },
          'the management API does not answer: demand is as last seen',
        );
      }
      this.#managementFails = true;
      next = retryMs;
      // Events still come; without them nothing is seen.
      if (!this.#flowing) this.#sees(false);
    } finally {
      this.#looking = false;
    }
    if (this.#attached) this.#lookIn(next);
  }

  /** Queues that have consumers which the list does not show (yet, or any more). */
  async #doubted(queues: readonly QueueFact[], consumers: readonly ConsumerFact[]): Promise<ReadonlySet<string>> {
    const { clock } = this.#surroundings;
    const doubted = new Set<string>();
    const vanishing = this.#table.vanishing(queues, consumers, clock.now()).slice(0, mostDoubted);
    const looks = vanishing.map(async ({ queue, others }) => {
      const found = await this.#prober.probe(queue).catch(() => undefined);
      if (!found) return;
      const unlisted = found.consumers - others - this.#own(queue);
      const nothing = found.consumers === 0 && found.ready === 0;
      if (this.#table.doubted(queue, unlisted, nothing, clock.now())) doubted.add(queue);
    });
    await Promise.all(looks);
    return doubted;
  }

  #sees(visible: boolean): void {
    if (this.#visible === visible) return;
    this.#visible = visible;
    this.#guard(() => this.#listener?.visible(visible));
  }

  #tell(changes: readonly DemandChange[]): void {
    const listener = this.#listener;
    if (!listener) return;
    for (const change of changes) {
      this.#guard(() => {
        if (change.is === 'changed') listener.changed(change.demand);
        else if (change.is === 'deleted') listener.deleted(change.queue);
        else listener.created(change.queue, change.properties);
      });
    }
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#surroundings.log.error({ err: error }, 'a demand listener threw');
    }
  }
}

/** Nobody asked for it: a node went, or a time ran out. */
function byBroker(headers: Readonly<Record<string, unknown>>): boolean {
  // A node that went is told with the second of these.
  return [headers['user_who_performed_action'], headers['user']].includes('rmq-internal');
}
