import { type RabbitNode, startRabbit } from '@tombolo/testing/rabbitmq';
import { Remote } from './load/remote.ts';
import type { Place } from './load/session.ts';
import type { LineCalls } from './load/slow-line.ts';
import type { LoadCalls } from './load/worker.ts';

/**
 * `pinned`: the sink's broker has a processor to itself, everything else shares the other one, as where brokers have hosts of
 * their own. `shared`: everything on all processors, as where a bridge runs beside its broker.
 */
export type Setup = 'pinned' | 'shared';

export type Load = Remote<LoadCalls>;

/** A place, and its node's management API. */
export interface Site extends Place {
  readonly node: RabbitNode;
}

/** Two brokers and the processes that make load; `a` is the sink's broker, `b` the source's. */
export class Ground {
  readonly setup: Setup;
  readonly a: RabbitNode;
  readonly b: RabbitNode;
  readonly producer: Load;
  readonly consumer: Load;
  readonly line: Remote<LineCalls>;

  private constructor(setup: Setup, a: RabbitNode, b: RabbitNode) {
    this.setup = setup;
    this.a = a;
    this.b = b;
    this.producer = Remote.start('./worker.js', this.others);
    this.consumer = Remote.start('./worker.js', this.others);
    this.line = Remote.start('./slow-line.js', this.others);
  }

  static async open(setup: Setup): Promise<Ground> {
    const plugins = [
      ...['rabbitmq_management', 'rabbitmq_event_exchange', 'rabbitmq_federation', 'rabbitmq_federation_management'],
      ...['rabbitmq_shovel', 'rabbitmq_shovel_management'],
    ];
    const pin = (processors: string) => (setup === 'pinned' ? { processors } : {});
    const [a, b] = await Promise.all([startRabbit({ plugins, ...pin('0') }), startRabbit({ plugins, ...pin('1') })]);
    return new Ground(setup, a, b);
  }

  /** The processors of whatever is not the sink's broker; undefined: all. */
  get others(): string | undefined {
    return this.setup === 'pinned' ? '1' : undefined;
  }

  /** A virtual host of the sink's and of the source's broker, under this name. */
  async sites(name: string): Promise<{ readonly sink: Site; readonly source: Site }> {
    await Promise.all([this.a, this.b].map((node) => node.api('PUT', `/vhosts/${name}`)));
    return {
      sink: { node: this.a, port: this.a.amqpPort, vhost: name },
      source: { node: this.b, port: this.b.amqpPort, vhost: name },
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.producer, this.consumer, this.line].map((remote) => remote.stop()));
    await Promise.all([this.a.stop(), this.b.stop()]);
  }
}

/** What the calls to a load process need of a site. */
export function place({ port, vhost }: Place): Place {
  return { port, vhost };
}
