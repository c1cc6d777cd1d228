import { messageOf } from '@tombolo/kernel/fault';
import type { BindingListener, BindingWatch } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { argumentsFromEvent } from './binding-arguments.ts';
import { type BindingChange, BindingTable, type TopologyEvent } from './binding-table.ts';
import type { RabbitUri } from './config.ts';
import type { EventFeed } from './event-feed.ts';
import { exchangeProperties, type Management } from './management.ts';

const keys = ['binding.*', 'exchange.*', 'queue.deleted'];
/** With events a snapshot only corrects; without them it is all there is. */
const reconcileMs = 30_000;
const pollMs = 1_000;
/** Ten thousand bindings take the broker some hundred milliseconds: without events no more than this share of its time. */
const restPerLook = 20;
const debounceMs = 100;
/** A failed snapshot is tried again. */
const retryMs = 2_000;

const noManagement =
  'Bindings can only be seen through the management API: give this cluster a management address (broker.management.uris).';

/**
 * Bindings of one virtual host, as the management API shows them; events cut the latency. Nothing is asked of the broker
 * before somebody watches.
 */
export class RabbitBindingWatch implements BindingWatch {
  readonly #surroundings: Surroundings;
  readonly #management: Management | undefined;
  readonly #events: EventFeed | undefined;
  readonly #table = new BindingTable();
  #listener: BindingListener | undefined;
  #vhost = '/';
  #attached = false;
  #listening = false;
  #flowing = false;
  #visible: boolean | undefined;
  #looking = false;
  #fails = false;
  /** When the next snapshot is due, and what cancels its wake. */
  #due: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(
    views: { readonly management: Management | undefined; readonly events: EventFeed | undefined },
    surroundings: Surroundings,
  ) {
    this.#surroundings = surroundings;
    this.#management = views.management;
    this.#events = views.events;
  }

  get method(): string {
    if (!this.#management) return 'not possible without the management API';
    const look = this.#fails ? 'management API (failing)' : 'management API';
    return this.#flowing ? `${look} + events` : look;
  }

  /** The broker is connected: at this address. */
  attach(uri: RabbitUri): void {
    this.#attached = true;
    this.#vhost = uri.vhost;
    this.#lookIn(0);
  }

  /** It is not. What was told stands. */
  detach(): void {
    this.#attached = false;
    this.#flowing = false;
    this.#due?.cancel();
    this.#due = undefined;
    if (this.#listener && this.#management) this.#sees(false, 'the broker is not connected');
  }

  watch(matches: (exchange: string) => boolean, listener: BindingListener): void {
    const isNew = this.#listener !== listener;
    this.#listener = listener;
    const changes = this.#table.watch(matches);
    if (!isNew) {
      this.#tell(changes);
      return;
    }
    if (!this.#management) {
      this.#guard(() => listener.visible(false, noManagement));
      return;
    }
    if (this.#events && !this.#listening) {
      this.#listening = true;
      this.#events.listen(keys, {
        event: (name, headers) => this.#event(name, headers),
        flowing: (flowing) => this.#flows(flowing),
      });
    }
    this.#tell(this.#table.retell());
    if (this.#visible) this.#guard(() => listener.visible(true, undefined));
    this.#lookIn(0);
  }

  refresh(): void {
    this.#lookIn(debounceMs);
  }

  #flows(flowing: boolean): void {
    if (this.#flowing === flowing) return;
    this.#flowing = flowing;
    // What happened before the events began to flow is in no event, what happens without them neither.
    this.#lookIn(0);
  }

  #event(name: string, headers: Readonly<Record<string, unknown>>): void {
    const text = (key: string) => (typeof headers[key] === 'string' ? (headers[key] as string) : '');
    if (text('vhost') !== this.#vhost) return;
    const event = readEvent(name, headers, text);
    // Also the event of an exchange that is not known, since it was missed: only the management API can tell.
    if (!event || (event.was === 'binding created' && !this.#table.knows(event.fact.source))) this.#lookIn(debounceMs);
    if (event) this.#tell(this.#table.happened(event));
  }

  /** Sees to it that a snapshot is taken within this time. */
  #lookIn(ms: number): void {
    if (!this.#attached || !this.#listener || !this.#management) return;
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
    const { clock, log } = this.#surroundings;
    const began = clock.now();
    const wasFlowing = this.#flowing;
    let next: number;
    this.#table.lookBegan();
    try {
      const exchanges = await management.exchanges(this.#vhost);
      const bindings = await management.bindings(this.#vhost);
      if (this.#attached) {
        this.#tell(this.#table.snapshot(exchanges, bindings));
        this.#sees(true, undefined);
      }
      if (this.#fails) log.info({}, 'the management API answers again');
      this.#fails = false;
      next = wasFlowing && this.#flowing ? reconcileMs : Math.max(pollMs, restPerLook * (clock.now() - began));
    } catch (error) {
      const reason = messageOf(error);
      this.#table.lookFailed();
      if (!this.#fails) log.warn({ reason }, 'the management API does not answer: bindings are as last seen');
      this.#fails = true;
      next = retryMs;
      // Events still come; without them nothing is seen.
      if (!this.#flowing || this.#visible === undefined) this.#sees(false, reason);
    } finally {
      this.#looking = false;
    }
    this.#lookIn(next);
  }

  #sees(visible: boolean, reason: string | undefined): void {
    if (this.#visible === visible) return;
    this.#visible = visible;
    this.#guard(() => this.#listener?.visible(visible, reason));
  }

  #tell(changes: readonly BindingChange[]): void {
    const listener = this.#listener;
    if (!listener) return;
    for (const change of changes) {
      this.#guard(() => {
        switch (change.is) {
          case 'exchange':
            listener.exchange(change.exchange, change.properties, change.bindings);
            return;
          case 'changed':
            listener.changed(change.exchange, change.added, change.removed);
            return;
          case 'deleted':
            listener.deleted(change.exchange);
            return;
          case 'routes':
            listener.routes(change.bindings);
            return;
        }
      });
    }
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#surroundings.log.error({ err: error }, 'a binding listener threw');
    }
  }
}

/** What an event says; undefined when it cannot be read. */
function readEvent(
  name: string,
  headers: Readonly<Record<string, unknown>>,
  text: (key: string) => string,
): TopologyEvent | undefined {
  switch (name) {
    case 'exchange.created':
      return { was: 'exchange created', exchange: { name: text('name'), properties: exchangeProperties(headers) } };
    case 'exchange.deleted':
      return { was: 'exchange deleted', exchange: text('name') };
    case 'queue.deleted':
      return { was: 'queue deleted', queue: text('name') };
    case 'binding.created':
    case 'binding.deleted': {
      const args = argumentsFromEvent(headers['arguments']);
      if (!args) return undefined;
      const fact = {
        source: text('source_name'),
        destination: text('destination_name'),
        destinationKind: text('destination_kind') === 'exchange' ? ('exchange' as const) : ('queue' as const),
        binding: { routingKey: text('routing_key'), arguments: args },
      };
      return { was: name === 'binding.created' ? 'binding created' : 'binding deleted', fact };
    }
    default:
      return undefined;
  }
}
