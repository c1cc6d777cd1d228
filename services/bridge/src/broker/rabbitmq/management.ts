import { Fault, messageOf } from '@tombolo/kernel/fault';
import { Agent, request } from 'undici';
import type { BrokerTls } from '../broker-tls.ts';
import type { BufferBinding, ExchangeProperties, Holding } from '../port.ts';
import { argumentsFromJson } from './binding-arguments.ts';
import type { BindingFact, ExchangeFact } from './binding-table.ts';
import type { ManagementConfig } from './config.ts';
import type { QueueFact } from './consumer-table.ts';
import type { ConsumerFact } from './listed-consumers.ts';
import { deliveryLimit, type QueueDescription, type QueueFacts, queueProperties } from './queue-properties.ts';

const queueColumns =
  'name,type,durable,auto_delete,exclusive,arguments,messages_ready,effective_policy_definition,state,node,delivery_limit';
const consumerColumns =
  'queue.name,consumer_tag,arguments,prefetch_count,ack_required,active,activity_status,channel_details.name';
const exchangeColumns = 'name,type,durable,auto_delete,internal';
const bindingColumns = 'source,destination,destination_type,routing_key,arguments';
const timeoutMs = 10_000;

/** RabbitMQ's management API, as far as it is read. Addresses are tried in order, from the last one that answered. */
export class Management {
  readonly #config: ManagementConfig;
  #agent: Agent | undefined;
  #tls: BrokerTls | undefined;
  #preferred = 0;

  constructor(config: ManagementConfig) {
    this.#config = config;
  }

  /** All queues of the virtual host, from one address. `ready` may be a statistics interval old. Rejects with a Fault. */
  async queues(vhost: string): Promise<QueueFact[]> {
    const list = await this.#get(`/api/queues/${encodeURIComponent(vhost)}?columns=${queueColumns}`);
    const facts: QueueFact[] = [];
    for (const each of listOf(list)) {
      if (typeof each['name'] !== 'string') continue;
      facts.push({
        name: each['name'],
        properties: queueProperties(each as QueueDescription),
        ready: typeof each['messages_ready'] === 'number' ? each['messages_ready'] : undefined,
        ...(isDown(each['state']) && { unavailable: `its node ${String(each['node'])} is down` }),
      });
    }
    return facts;
  }

  /** What all queues of the virtual host hold, as of two statistics intervals ago at worst. Rejects with a Fault. */
  async holdings(vhost: string): Promise<Holding[]> {
    const columns = `${queueColumns},messages_unacknowledged`;
    const list = await this.#get(`/api/queues/${encodeURIComponent(vhost)}?columns=${columns}`);
    return listOf(list).flatMap((each) => {
      const { name, messages_ready: ready, messages_unacknowledged: unacknowledged } = each;
      if (typeof name !== 'string') return [];
      return {
        queue: name,
        properties: queueProperties(each as QueueDescription),
        ready: typeof ready === 'number' ? ready : 0,
        unacknowledged: typeof unacknowledged === 'number' ? unacknowledged : undefined,
      };
    });
  }

  /** All consumers of the virtual host. Needs the tag `monitoring`, or only the user's own are seen. Rejects with a Fault. */
  async consumers(vhost: string): Promise<ConsumerFact[]> {
    const list = await this.#get(`/api/consumers/${encodeURIComponent(vhost)}?columns=${consumerColumns}`);
    const facts: ConsumerFact[] = [];
    for (const each of listOf(list)) {
      const queue = (each['queue'] as { name?: unknown } | undefined)?.name;
      const tag = each['consumer_tag'];
      if (typeof queue !== 'string' || typeof tag !== 'string') continue;
      // A consumer whose node is suspected down holds its messages and takes none.
      if (each['activity_status'] === 'suspected_down') continue;
      const channelName = (each['channel_details'] as { name?: unknown } | undefined)?.name;
      facts.push({
        queue,
        tag,
        ...(typeof channelName === 'string' && { channelName }),
        prefetch: typeof each['prefetch_count'] === 'number' ? each['prefetch_count'] : 0,
        ackRequired: each['ack_required'] !== false,
        arguments: (each['arguments'] as Record<string, unknown> | undefined) ?? {},
        ...(typeof each['active'] === 'boolean' && { active: each['active'] }),
      });
    }
    return facts;
  }

  /** One queue's properties, and the bytes that it holds; undefined: there is none. Rejects with a Fault. */
  async queue(vhost: string, name: string): Promise<QueueFacts | undefined> {
    const path = `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}?columns=${queueColumns},message_bytes`;
    const found = await this.#get(path);
    if (found === undefined) return undefined;
    const { message_bytes: bytes } = found as { message_bytes?: unknown };
    const limit = deliveryLimit(found as QueueDescription);
    return {
      properties: queueProperties(found as QueueDescription),
      ...(typeof bytes === 'number' && { bytes }),
      ...(limit !== undefined && { deliveryLimit: limit }),
    };
  }

  /**
   * A property that the client gave of itself whose connection owns an exclusive queue; undefined: that is not known, or not yet
   * (owners are told with the statistics). Rejects with a Fault.
   */
  async ownersProperty(vhost: string, queue: string, property: string): Promise<string | undefined> {
    const path = `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}`;
    const found = (await this.#get(`${path}?columns=owner_pid_details`)) as
      | { owner_pid_details?: { name?: unknown } }
      | undefined;
    const connection = found?.owner_pid_details?.name;
    if (typeof connection !== 'string') return undefined;
    const owner = await this.#get(`/api/connections/${encodeURIComponent(connection)}?columns=client_properties`);
    const value = (owner as { client_properties?: Record<string, unknown> } | undefined)?.client_properties?.[property];
    return typeof value === 'string' ? value : undefined;
  }

  /** All exchanges of the virtual host but the default one. Rejects with a Fault. */
  async exchanges(vhost: string): Promise<ExchangeFact[]> {
    const list = await this.#get(
      `/api/exchanges/${encodeURIComponent(vhost)}?disable_stats=true&columns=${exchangeColumns}`,
    );
    return listOf(list).flatMap((each) => {
      const name = each['name'];
      return typeof name === 'string' && name !== '' ? [{ name, properties: exchangeProperties(each) }] : [];
    });
  }

  /** One exchange's properties; undefined: there is none. Rejects with a Fault. */
  async exchange(vhost: string, name: string): Promise<ExchangeProperties | undefined> {
    const path = `/api/exchanges/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
    const found = await this.#get(`${path}?disable_stats=true&columns=${exchangeColumns}`);
    return found === undefined ? undefined : exchangeProperties(found as Record<string, unknown>);
  }

  /** All bindings of the virtual host's exchanges but the default one's. These are no statistics: they are of now. Rejects with a Fault. */
  async bindings(vhost: string): Promise<BindingFact[]> {
    const list = await this.#get(`/api/bindings/${encodeURIComponent(vhost)}?columns=${bindingColumns}`);
    return listOf(list).flatMap((each) => bindingFact(each) ?? []);
  }

  /** The bindings of one queue; undefined: no such queue. Rejects with a Fault. */
  async bindingsOf(vhost: string, queue: string): Promise<BufferBinding[] | undefined> {
    const path = `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}/bindings`;
    const list = await this.#get(`${path}?columns=${bindingColumns}`);
    if (list === undefined) return undefined;
    return listOf(list).flatMap((each) => {
      const fact = bindingFact(each);
      return fact ? [{ exchange: fact.source, binding: fact.binding }] : [];
    });
  }

  /** The names of all queues of the virtual host. Rejects with a Fault. */
  async queueNames(vhost: string): Promise<string[]> {
    const list = await this.#get(`/api/queues/${encodeURIComponent(vhost)}?disable_stats=true&columns=name`);
    return listOf(list).flatMap((each) => (typeof each['name'] === 'string' ? [each['name']] : []));
  }

  /**
   * For how long every node of the cluster has been running (ms), as of their last statistics; undefined: one of them is down, or does
   * not tell. Rejects with a Fault.
   */
  async runningFor(): Promise<number | undefined> {
    const nodes = listOf(await this.#get('/api/nodes?columns=running,uptime'));
    const times = nodes.map(({ running, uptime }) => (running === true && typeof uptime === 'number' ? uptime : -1));
    const shortest = Math.min(...times);
    return nodes.length > 0 && shortest >= 0 ? shortest : undefined;
  }

  /** Ends its connections; a later request opens new ones. */
  async close(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.destroy();
  }

  #dispatcher(): Agent {
    const tls = this.#config.tls?.();
    if (this.#agent && tls === this.#tls) return this.#agent;
    // Its connections end when what was asked on them is answered.
    void this.#agent?.close();
    this.#tls = tls;
    this.#agent = new Agent({
      connections: 2,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: 3_000, ...tls },
    });
    return this.#agent;
  }

  /** Whatever a GET of this path answers, parsed; undefined: there is no such thing. Rejects with a Fault. */
  read(path: string): Promise<unknown> {
    return this.#get(path);
  }

  async #get(path: string): Promise<unknown> {
    const { uris } = this.#config;
    let fault: Fault | undefined;
    for (let index = 0; index < uris.length; index++) {
      const which = (this.#preferred + index) % uris.length;
      try {
        const answer = await this.#getFrom(uris[which] as string, path);
        this.#preferred = which;
        return answer;
      } catch (error) {
        fault = error as Fault;
      }
    }
    throw fault ?? new Fault('TOMBOLO_MANAGEMENT_FAILED', 'No address of the management API is configured.');
  }

  /** Made for each request: the password may be another one now. */
  get #authorization(): string {
    const { username, password } = this.#config;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  async #getFrom(base: string, path: string): Promise<unknown> {
    const url = new URL(path, base);
    // Credentials in the address would end up in messages.
    url.username = '';
    url.password = '';
    const where = `${url.origin}${url.pathname}`;
    const fail = (what: string, cause?: unknown) =>
      new Fault('TOMBOLO_MANAGEMENT_FAILED', `GET ${where} ${what}`, { cause });
    let status: number;
    let text: string;
    try {
      const response = await request(url, {
        dispatcher: this.#dispatcher(),
        headers: { authorization: this.#authorization, accept: 'application/json' },
        signal: AbortSignal.timeout(timeoutMs),
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      const ofTls = url.protocol === 'https:' && /certificate|altnames|self.signed|ERR_TLS|SSL/i.test(messageOf(error));
      const advice = ofTls
        ? 'Check broker.tls ca and serverName'
        : 'Is the management plugin enabled, and the port right?';
      throw fail(`failed: ${messageOf(error)}. ${advice}`, error);
    }
    if (status === 404) return undefined;
    if (status === 401)
      throw fail('was refused (401): check the user name, the password, and that the user has the tag "monitoring".');
    if (status !== 200) throw fail(`answered ${status}: ${text.slice(0, 200)}`);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw fail('did not answer with JSON. Is this the management port?', error);
    }
  }
}

/** Of a queue: its node is down (classic), or too many of its members are (quorum). */
function isDown(state: unknown): boolean {
  return state === 'down' || state === 'minority' || state === 'stopped';
}

function listOf(answer: unknown): Record<string, unknown>[] {
  return Array.isArray(answer) ? (answer as Record<string, unknown>[]) : [];
}

/** An exchange as the API, or an `exchange.created` event, describes it. */
export function exchangeProperties(description: Readonly<Record<string, unknown>>): ExchangeProperties {
  return {
    type: String(description['type'] ?? ''),
    durable: description['durable'] === true,
    autoDelete: description['auto_delete'] === true,
    internal: description['internal'] === true,
  };
}

function bindingFact(each: Record<string, unknown>): BindingFact | undefined {
  const { source, destination, destination_type: kind, routing_key: routingKey } = each;
  // Every queue is bound to the default exchange.
  if (typeof source !== 'string' || source === '' || typeof destination !== 'string') return undefined;
  return {
    source,
    destination,
    destinationKind: kind === 'exchange' ? 'exchange' : 'queue',
    binding: { routingKey: String(routingKey ?? ''), arguments: argumentsFromJson(each['arguments']) },
  };
}
