/** A kind of fault. The page infra/docs/errors.md shows this table. */
interface FaultKind {
  /** Waiting and trying again can cure it, and is what a bridge does. */
  readonly retryable: boolean;
  /** What has happened, in sentences. */
  readonly meaning: string;
  /** What an operator does about it, in sentences. */
  readonly cure: string;
}

/** Every kind of fault that an operator can meet. */
export const faults = {
  TOMBOLO_TOPOLOGY_INVALID: {
    retryable: false,
    meaning: 'The topology file, or a file that it refers to, is not valid.',
    cure: 'Mend what the lines name, each with file, line and column; `tombolo validate` shows all of them at once.',
  },
  TOMBOLO_USAGE: {
    retryable: false,
    meaning:
      'The command or the file asks for what cannot be: an unknown cluster, an address that cannot be listened on, a URL that is none.',
    cure: 'The message says what was expected; `--help` says what the command takes.',
  },
  TOMBOLO_ADDRESS_IN_USE: {
    retryable: false,
    meaning: 'Another process listens at `bridge.listen`, `bridge.admin` or `bridge.metrics`.',
    cure: 'Stop it (the message has the `ss` call that finds it), or choose another address; replicas that share a file take `--listen` and `--admin`.',
  },
  TOMBOLO_BROKER_UNREACHABLE: {
    retryable: true,
    meaning: 'No broker accepts a connection at any of the cluster’s `uris`.',
    cure: 'Is it up, are host and port right, does a firewall or TLS stand between? The bridge goes on trying, each address in turn.',
  },
  TOMBOLO_BROKER_ACCESS_REFUSED: {
    retryable: true,
    meaning: 'The broker refuses the user, the password or the virtual host.',
    cure: 'Check `broker.username`, `broker.password` and the path of the URI; grant the user access to the virtual host.',
  },
  TOMBOLO_BROKER_LOST: {
    retryable: true,
    meaning: 'A connection to the broker ended: it was restarted, closed it, or the network broke.',
    cure: 'Nothing, if it comes back by itself; otherwise look into the broker’s log at that time. What was not acknowledged is delivered again.',
  },
  TOMBOLO_BROKER_MISMATCH: {
    retryable: true,
    meaning: 'The broker at this address names another cluster than `broker.clusterName` expects.',
    cure: 'Correct the URI, or `clusterName` if the cluster was renamed.',
  },
  TOMBOLO_CHANNEL_CLOSED: {
    retryable: true,
    meaning: 'The broker closed a channel of the bridge over something that it asked for.',
    cure: 'The broker’s words are in the message. The bridge opens another channel; if it happens again and again, report it.',
  },
  TOMBOLO_QUEUE_ABSENT: {
    retryable: true,
    meaning: 'A queue does not exist on the broker that should have it.',
    cure: 'Declare it there, or set `createDestinations` so that the bridge does.',
  },
  TOMBOLO_QUEUE_REFUSED: {
    retryable: true,
    meaning:
      'The broker does not let the bridge use a queue as it must: another type, an exclusive consumer, other arguments.',
    cure: 'The broker’s words are in the message. Change the queue, or exclude it from the connector.',
  },
  TOMBOLO_QUEUE_UNAVAILABLE: {
    retryable: true,
    meaning: 'A queue exists and cannot be used now: its node is down, or a quorum queue has no leader.',
    cure: 'Bring the node back. Nothing is lost; the stream goes on by itself.',
  },
  TOMBOLO_EXCHANGE_ABSENT: {
    retryable: true,
    meaning: 'An exchange does not exist on the broker that should have it.',
    cure: 'Declare it there, or set `createDestinations`.',
  },
  TOMBOLO_NO_PERMISSION: {
    retryable: true,
    meaning: 'The bridge’s user lacks a permission on the broker.',
    cure: 'Grant what the message names (configure, write or read, and on what); the README lists what a bridge needs.',
  },
  TOMBOLO_MANAGEMENT_FAILED: {
    retryable: true,
    meaning: 'RabbitMQ’s management API does not answer, or refuses the bridge’s user.',
    cure: 'Check `management.uris`, and the tag `monitoring` of the user. Until then demand is seen by events, or not at all; messages under way are not touched.',
  },
  TOMBOLO_FRAME_INVALID: {
    retryable: true,
    meaning:
      'A peer sent what is no frame of the link protocol, or one that is too large; or a message has properties that are no AMQP.',
    cure: 'Compare the versions of both bridges; keep the log and report it if they may speak together.',
  },
  TOMBOLO_REDIS_FAILED: {
    retryable: true,
    meaning: 'Redis does not answer, refuses, or answers what makes no sense.',
    cure: 'Bring it back; check URI, user and permissions. Meanwhile a master that Redis elected works until its lease ends, and duplicates are recognised from memory only.',
  },
  TOMBOLO_NOT_MASTER: {
    retryable: true,
    meaning: 'A bridge that is not the master any more was about to write to its broker, and did not.',
    cure: 'Nothing: the master does it. Send operations to the bridge that the message names.',
  },
  TOMBOLO_INTERNAL: {
    retryable: false,
    meaning: 'Something happened that should not be possible.',
    cure: 'Keep the log and report it.',
  },
} as const satisfies Record<string, FaultKind>;

export type FaultCode = keyof typeof faults;

/**
 * An error that a user can meet. The message says what happened, to what, and what to do about it; it never
 * carries a secret (URIs go through a redactor before they come here).
 */
export class Fault extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'Fault';
    this.code = code;
  }

  /** True when waiting can cure it: the caller tries again with back-off; false: it gives up and says so. */
  get retryable(): boolean {
    return faults[this.code].retryable;
  }
}

/** The message of anything that was thrown, for logs and status. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
