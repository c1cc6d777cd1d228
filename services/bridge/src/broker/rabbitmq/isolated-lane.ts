import type { Surroundings } from '../surroundings.ts';
import { brokersWords, codeOf, publishFailure, replyCode } from './close-codes.ts';
import type { ChannelClosed, Connection } from './connection.ts';
import { type Outgoing, PublishChannel } from './publish-channel.ts';
import { tell, tellVerdicts } from './publish-lane.ts';

/** Opens a further connection to the node that the others are open to. `closed` as in Connection.open. */
export type OpenConnection = (closed: (error: unknown) => void) => Promise<Connection>;

/** One connection with its channel, and how they ended as far as is known. */
interface Line {
  connection: Connection | undefined;
  channel: PublishChannel | undefined;
  /** Set once the connection has closed. */
  end: { readonly error: unknown } | undefined;
  /** What was unconfirmed when the channel closed. */
  left: readonly Outgoing[] | undefined;
}

/**
 * Publishes what may end the connection that it comes by: a direct reply to a node that has gone does (541). It has a connection
 * of its own for that, opened when it is first needed, and not mandatory: a direct reply would always be returned. What was
 * unconfirmed when the broker ended the connection is published one by one on the next, until the one that ends that too is found.
 */
export class IsolatedLane {
  readonly #surroundings: Surroundings;
  #open: OpenConnection | undefined;
  #line: Line | undefined;
  #backlog: Outgoing[] = [];
  /** In publish order; only one of them is under way at a time. */
  #suspects: Outgoing[] = [];
  #alone = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  attach(open: OpenConnection): void {
    this.#open = open;
  }

  /** The other connections are gone: this one is closed, and what is under way is in doubt. */
  async detach(): Promise<void> {
    this.#open = undefined;
    const line = this.#line;
    this.#line = undefined;
    this.#abandon();
    await line?.connection?.close();
  }

  publish(batch: readonly Outgoing[]): void {
    this.#backlog.push(...batch);
    if (this.#open) this.#pump();
    else queueMicrotask(() => this.#abandon());
  }

  #pump(): void {
    const { channel } = this.#line ?? this.#dial();
    if (!channel?.isOpen || this.#alone) return;
    const suspect = this.#suspects.shift();
    const batch = suspect ? [suspect] : this.#backlog.splice(0);
    if (batch.length === 0) return;
    this.#alone = suspect !== undefined;
    channel.publish(batch, false);
  }

  #dial(): Line {
    const line: Line = { connection: undefined, channel: undefined, end: undefined, left: undefined };
    this.#line = line;
    const open = this.#open as OpenConnection;
    open((error) => this.#ended(line, { end: { error } })).then(
      (connection) => {
        if (this.#line !== line) {
          void connection.close();
          return;
        }
        line.connection = connection;
        line.channel = this.#channel(line, connection, (error) => this.#channelRefused(line, error));
      },
      () => {
        if (this.#line !== line) return;
        this.#line = undefined;
        this.#abandon();
      },
    );
    return line;
  }

  #channel(line: Line, connection: Connection, refused: ChannelClosed): PublishChannel {
    return new PublishChannel(connection, {
      log: this.#surroundings.log,
      opened: () => this.#pump(),
      verdicts: (verdicts) => {
        tellVerdicts(verdicts, this.#surroundings);
        this.#alone = false;
        if (this.#line === line) this.#pump();
      },
      closed: (left, error) => {
        if (this.#line !== line) tell([...left], 'unknown', lost, this.#surroundings);
        else if (codeOf(error) !== undefined) {
          line.left = left;
          refused(error);
        } else {
          this.#ended(line, { left });
          // A connection ends together with its channels; one that lives on could not open this one.
          setImmediate(() => {
            if (this.#line !== line) return;
            void connection.close();
            this.#ended(line, { end: { error } });
          });
        }
      },
    });
  }

  /** The broker closed the channel only; a new line is opened all the same. */
  #channelRefused(line: Line, error: unknown): void {
    this.#line = undefined;
    void line.connection?.close();
    const { outcome, detail } = publishFailure(error);
    this.#suspect(line.left ?? [], outcome, detail);
  }

  /** Connection and channel end in either order; only both together tell what it was. */
  #ended(line: Line, part: Partial<Line>): void {
    if (this.#line !== line) return;
    Object.assign(line, part);
    if (!line.end || (line.channel && !line.left)) return;
    this.#line = undefined;
    const { error } = line.end;
    const left = line.left ?? [];
    if (codeOf(error) !== replyCode.internalError) {
      this.#suspects.unshift(...left);
      this.#abandon();
      return;
    }
    this.#surroundings.log.warn(
      { unconfirmed: left.length, reason: brokersWords(error) },
      'the broker ended the connection for direct replies: what was unconfirmed is published one by one',
    );
    this.#suspect(left, 'poison', brokersWords(error));
  }

  #suspect(left: readonly Outgoing[], outcome: 'poison' | 'refused' | 'forbidden', detail: string): void {
    this.#alone = false;
    if (left.length === 1) tell([...left], outcome, detail, this.#surroundings);
    else this.#suspects.unshift(...left);
    if (this.#open && (this.#suspects.length > 0 || this.#backlog.length > 0)) this.#pump();
  }

  /** No connection: what was written is in doubt, what was not is free of doubt. */
  #abandon(): void {
    this.#alone = false;
    tell(this.#suspects.splice(0), 'unknown', lost, this.#surroundings);
    tell(this.#backlog.splice(0), 'refused', 'not connected to the broker', this.#surroundings);
  }
}

const lost = 'the connection to the broker was lost';
