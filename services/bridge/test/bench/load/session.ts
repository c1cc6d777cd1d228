import { type DataChannel, DataPath } from '@tombolo/bridge/broker/rabbitmq/data-path/data-path';
import { bufferOf, numberOf, wireOf } from '@tombolo/bridge/broker/rabbitmq/seam';
import { type Channel, type ChannelModel, connect } from 'amqplib';

/** A virtual host of a broker on loopback. */
export interface Place {
  readonly port: number;
  readonly vhost: string;
}

/**
 * A client's connection. Connecting, declaring and consuming are amqplib's; deliveries, publications and confirms are
 * raw frames on the bridge's own data path: amqplib's codec would be the bottleneck of what is to be measured.
 */
export class Session {
  readonly model: ChannelModel;
  readonly frameMax: number;
  readonly #data: DataPath;

  private constructor(model: ChannelModel) {
    this.model = model;
    const wire = wireOf(model);
    this.frameMax = wire.frameMax;
    this.#data = new DataPath(wire);
    // A broker that is killed on purpose: whoever waits for it has a deadline.
    model.on('error', () => {});
  }

  static async open({ port, vhost }: Place): Promise<Session> {
    const at = { hostname: '127.0.0.1', port, username: 'guest', password: 'guest', vhost: encodeURIComponent(vhost) };
    return new Session(await connect(at, { noDelay: true, clientProperties: { connection_name: 'load' } }));
  }

  /** From now on the channel's frames are shown to `reader` first; returns how to write raw frames to it. */
  raw(channel: Channel, reader: DataChannel): { readonly number: number; write(bytes: Buffer): boolean } {
    const wire = wireOf(this.model);
    const buffer = bufferOf(wire, channel);
    this.#data.register(numberOf(channel), reader);
    return {
      number: numberOf(channel),
      write(bytes) {
        wire.sentSinceLastCheck = true;
        return buffer.write(bytes);
      },
    };
  }

  async close(): Promise<void> {
    await this.model.close().catch(() => {});
  }
}

/** Milliseconds of the machine's monotonic clock: the same in every process. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
