import { awaitUntil } from '@tombolo/testing/await-until';
import { type Ground, place, type Site } from '../ground.ts';
import type { Way } from './way.ts';

export interface FederationOptions {
  readonly queues?: readonly string[];
  /** Federate this exchange, and not the queues. */
  readonly exchange?: string;
  /** The round trip between the sink's broker and the source's. */
  readonly roundTripMs?: number;
  /** Through a line even without a round trip, to cut it. */
  readonly lined?: boolean;
}

/** RabbitMQ's federation of queues or of an exchange, with the defaults of its upstream. */
export class Federation implements Way {
  readonly name: string;
  readonly source: Site;
  readonly sink: Site;
  readonly queues: readonly string[];
  readonly exchange?: string;
  readonly pids = [];
  /** The line's port, when there is one. */
  line: number | undefined;
  readonly #ground: Ground;
  readonly #options: FederationOptions;

  private constructor(ground: Ground, sites: { sink: Site; source: Site }, options: FederationOptions) {
    this.#ground = ground;
    this.#options = options;
    this.source = sites.source;
    this.sink = sites.sink;
    this.queues = options.queues ?? ['bench'];
    this.name = options.exchange === undefined ? 'queue federation' : 'exchange federation';
    if (options.exchange !== undefined) this.exchange = options.exchange;
  }

  static async prepare(ground: Ground, vhost: string, options: FederationOptions = {}): Promise<Federation> {
    return new Federation(ground, await ground.sites(vhost), options);
  }

  async start(): Promise<void> {
    const { queues, exchange, sink, source } = this;
    const { roundTripMs = 0, lined = false } = this.#options;
    const named = exchange === undefined ? {} : { exchange };
    const { producer, consumer, line } = this.#ground;
    if (exchange === undefined) await producer.call('declare', { ...place(source), queues });
    else await producer.call('declareExchange', { ...place(source), exchange });
    await consumer.call('declare', { ...place(sink), queues, ...named });
    let { port } = source;
    if (lined || roundTripMs > 0) port = this.line = await line.call('open', { port, delayMs: roundTripMs / 2 });
    const uri = `amqp://guest:guest@127.0.0.1:${port}/${encodeURIComponent(source.vhost)}`;
    await sink.node.api('PUT', `/parameters/federation-upstream/${sink.vhost}/source`, { value: { uri } });
    await this.federate();
    await this.#running();
  }

  /** Sets the policy: its links start. */
  async federate(): Promise<void> {
    const { exchange, sink } = this;
    await sink.node.api('PUT', `/policies/${sink.vhost}/federate`, {
      pattern: exchange === undefined ? '^bench' : `^${exchange}$`,
      definition: { 'federation-upstream': 'source' },
      'apply-to': exchange === undefined ? 'queues' : 'exchanges',
    });
  }

  async #running(): Promise<void> {
    const { sink, queues, exchange } = this;
    const expected = exchange === undefined ? queues.length : 1;
    await awaitUntil(
      'the federation links run',
      async () => {
        const links = (await sink.node.api('GET', `/federation-links/${sink.vhost}`)) as { status: string }[];
        return links.filter(({ status }) => status === 'running').length >= expected;
      },
      { withinMs: 120_000, everyMs: 50 },
    );
  }

  async stop(): Promise<void> {
    const { sink } = this;
    await sink.node.api('DELETE', `/policies/${sink.vhost}/federate`);
    await sink.node.api('DELETE', `/parameters/federation-upstream/${sink.vhost}/source`);
    if (this.line !== undefined) await this.#ground.line.call('close', this.line);
  }
}
