import { type Ground, place, type Site } from '../ground.ts';
import type { Way } from './way.ts';

/** No way at all: producer and consumer at the sink's broker. What it does is the limit. */
export class OneBroker implements Way {
  readonly name = 'one broker';
  readonly source: Site;
  readonly sink: Site;
  readonly queues = ['bench'];
  readonly pids = [];
  readonly #ground: Ground;

  private constructor(ground: Ground, sink: Site) {
    this.#ground = ground;
    this.source = sink;
    this.sink = sink;
  }

  static async prepare(ground: Ground, vhost: string): Promise<OneBroker> {
    return new OneBroker(ground, (await ground.sites(vhost)).sink);
  }

  async start(): Promise<void> {
    await this.#ground.consumer.call('declare', { ...place(this.sink), queues: this.queues });
  }

  async stop(): Promise<void> {}
}
