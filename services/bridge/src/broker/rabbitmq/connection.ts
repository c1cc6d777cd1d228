import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { connectFault, lostFault } from './close-codes.ts';
import { nameOf, type RabbitBrokerConfig, type RabbitUri } from './config.ts';
import { DataPath } from './data-path/data-path.ts';
import { SocketReads } from './data-path/socket-reads.ts';
import { type Wire, wireOf } from './seam.ts';

/** The client property by which other bridges beside the cluster know whose connection it is. */
export const instanceProperty = 'instance';

/** A channel closed; `error` when it was the broker's doing. */
export type ChannelClosed = (error: unknown) => void;

/** One AMQP connection with its raw data path. Made by `open`; never opened again. */
export class Connection {
  readonly wire: Wire;
  readonly data: DataPath;
  readonly address: string;
  readonly #model: ChannelModel;
  #open = true;

  private constructor(
    model: ChannelModel,
    address: string,
    reads: SocketReads | undefined,
    closed: (error: unknown) => void,
  ) {
    this.#model = model;
    this.wire = wireOf(model);
    this.data = new DataPath(this.wire, reads);
    this.address = address;
    let why: unknown;
    model.on('error', (error) => {
      why ??= error;
    });
    model.on('handler-error', () => {});
    model.on('close', (error) => {
      if (!this.#open) return;
      this.#open = false;
      // A peer that vanished never answers our FIN: the descriptor would stay.
      this.wire.stream.destroy();
      closed(why ?? error);
    });
  }

  /**
   * Opens a connection. Rejects with a Fault.
   * @param role what it is for: part of its name, as the broker's operators see it
   * @param closed called once when an open connection has closed, whoever did it
   */
  static async open(
    config: RabbitBrokerConfig,
    uri: RabbitUri,
    role: string,
    closed: (connection: Connection, error: unknown) => void,
  ): Promise<Connection> {
    const address = nameOf(uri);
    const tls = uri.tls ? config.tls?.() : {};
    const reads = uri.tls ? undefined : new SocketReads();
    try {
      const model = await connect(
        {
          protocol: uri.tls ? 'amqps' : 'amqp',
          hostname: uri.host,
          port: uri.port,
          username: config.username,
          password: config.password,
          vhost: encodeURIComponent(uri.vhost), // amqplib unescapes it, even in the object form
          heartbeat: config.heartbeatSeconds ?? 10,
        },
        {
          ...tls,
          ...(reads && { onread: reads.onread }),
          noDelay: true,
          keepAlive: true,
          timeout: config.connectTimeoutMs ?? 5_000,
          clientProperties: {
            connection_name: `tombolo ${config.cluster} ${role}`,
            product: 'tombolo',
            [instanceProperty]: config.instance,
          },
        },
      );
      const connection: Connection = new Connection(model, address, reads, (error) => closed(connection, error));
      return connection;
    } catch (error) {
      throw connectFault(error, { address, vhost: uri.vhost, username: config.username });
    }
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** What the broker says it is. */
  get product(): string {
    const { product, version } = this.wire.serverProperties;
    return `${String(product ?? 'AMQP broker')} ${String(version ?? '')}`.trim();
  }

  get clusterName(): string {
    return String(this.wire.serverProperties['cluster_name'] ?? '');
  }

  /** The broker stopped or began again to read from this connection (connection.blocked). */
  onBlocked(tell: (reason: string | undefined) => void): void {
    this.#model.on('blocked', (reason) => tell(reason || 'resource alarm'));
    this.#model.on('unblocked', () => tell(undefined));
  }

  /** A plain channel, for methods. `closed` is called once, after everything that came on it. */
  async channel(closed: ChannelClosed): Promise<Channel> {
    return watched(await this.#model.createChannel(), closed);
  }

  /** A channel in confirm mode. */
  async confirmChannel(closed: ChannelClosed): Promise<ConfirmChannel> {
    return watched(await this.#model.createConfirmChannel(), closed);
  }

  /** The fault of its loss, for whoever waited on it. */
  lost(error: unknown) {
    return lostFault(error, this.address);
  }

  /** Closes in good order, within a second; then the hard way. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        // As an error, which amqplib hears: its channels end now, and tell whoever waits for an answer on them.
        this.wire.stream.destroy(new Error('the broker did not answer the close'));
        setImmediate(resolve);
      }, 1_000);
      // amqplib does not answer `close` when the socket breaks meanwhile.
      this.#model.once('close', () => resolve());
    });
    await Promise.race([this.#model.close().catch(() => {}), late]);
    clearTimeout(timer);
    this.wire.stream.destroy();
  }
}

function watched<C extends Channel>(channel: C, closed: ChannelClosed): C {
  let why: unknown;
  channel.on('error', (error) => {
    why ??= error;
  });
  // Without a listener amqplib would let a throwing handler end the connection.
  channel.on('handler-error', () => {});
  channel.on('close', () => closed(why));
  return channel;
}
