import { awaitUntil } from '@tombolo/testing/await-until';
import { type Ground, place, type Site } from '../ground.ts';
import type { Way } from './way.ts';

/** RabbitMQ's shovel, at the sink's broker, on-confirm. It moves everything at once: it is there only while measured. */
export class Shovel implements Way {
  readonly name = 'shovel';
  readonly source: Site;
  readonly sink: Site;
  readonly queues = ['bench'];
  readonly pids = [];
  readonly #ground: Ground;

  private constructor(ground: Ground, sites: { sink: Site; source: Site }) {
    this.#ground = ground;
    this.source = sites.source;
    this.sink = sites.sink;
  }

  static async prepare(ground: Ground, vhost: string): Promise<Shovel> {
    return new Shovel(ground, await ground.sites(vhost));
  }

  async start(): Promise<void> {
    await this.#ground.producer.call('declare', { ...place(this.source), queues: this.queues });
    await this.#ground.consumer.call('declare', { ...place(this.sink), queues: this.queues });
  }

  async stop(): Promise<void> {}

  readonly tap = {
    open: async () => {
      const uri = ({ port, vhost }: Site) => `amqp://guest:guest@127.0.0.1:${port}/${encodeURIComponent(vhost)}`;
      await this.sink.node.api('PUT', `/parameters/shovel/${this.sink.vhost}/bench`, {
        value: {
          'src-protocol': 'amqp091',
          'src-uri': uri(this.source),
          'src-queue': 'bench',
          'dest-protocol': 'amqp091',
          'dest-uri': uri(this.sink),
          'dest-queue': 'bench',
          'ack-mode': 'on-confirm',
        },
      });
      await awaitUntil('the shovel runs', async () => {
        const shovels = (await this.sink.node.api('GET', `/shovels/${this.sink.vhost}`)) as { state: string }[];
        return shovels[0]?.state === 'running';
      });
    },
    close: async () => {
      await this.sink.node.api('DELETE', `/parameters/shovel/${this.sink.vhost}/bench`);
    },
  };
}
