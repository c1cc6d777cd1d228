import { Fault, type FaultCode, messageOf } from '@tombolo/kernel/fault';

/** What an ERROR frame says: its `message` header, and which exception of the broker's is behind it (the first line of its body). */
export interface Refusal {
  readonly words: string;
  readonly exception: string;
}

/** Thrown by whoever waited for the receipt of a frame that the broker answered with an ERROR. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.words);
    this.name = 'Refused';
    this.refusal = refusal;
  }
}

/** A client id that another connection has: `Broker: b - Client: id already connected from tcp://host:port` (RegionBroker). */
export function takenBy({ words }: Refusal): string | undefined {
  return /already connected from (\S+)/.exec(words)?.[1];
}

function isForbidden({ words, exception }: Refusal): boolean {
  return /SecurityException/.test(exception) || /not authorized/i.test(words);
}

/** Where and as whom it was tried; no secret among it. */
export interface Attempt {
  readonly address: string;
  readonly username: string;
}

/** Why a connection could not be opened. */
export function connectFault(error: unknown, { address, username }: Attempt): Fault {
  const message = messageOf(error);
  const code = (error as { code?: unknown } | undefined)?.code;
  const fault = (fault: FaultCode, text: string) => new Fault(fault, text, { cause: error });
  if (error instanceof Refused) {
    if (isForbidden(error.refusal) || /user name .* or password|credentials/i.test(message)) {
      const who = username === '' ? 'a client without user name' : `the user "${username}"`;
      return fault(
        'TOMBOLO_BROKER_ACCESS_REFUSED',
        `${address} refused ${who}: ${message}. Check user name and password of this cluster.`,
      );
    }
    return fault('TOMBOLO_BROKER_UNREACHABLE', `${address} refused the connection: ${message}.`);
  }
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `Nothing accepts connections at ${address} (${code}). Is the broker up, or is it a slave; is the port the one of its STOMP connector?`,
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `The host name of ${address} cannot be resolved (${code}). Check it, and DNS.`,
    );
  }
  if (/certificate|SSL|TLS|wrong version number|ERR_TLS|self.signed/i.test(`${String(code)} ${message}`)) {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `TLS with ${address} failed: ${message}. Check ca, cert, key and serverName of this cluster, and that the port speaks TLS.`,
    );
  }
  // A connector with needClientAuth closes the connection of who shows no certificate that it trusts, and says nothing.
  const question = address.startsWith('stomp+ssl:')
    ? 'Is this a STOMP connector with TLS of an ActiveMQ that is up, and does it want a certificate of the bridge (cert and key of this cluster), of an authority that it trusts?'
    : 'Is this the STOMP connector of an ActiveMQ that is up, and does it not want TLS (stomp+ssl://)?';
  return fault('TOMBOLO_BROKER_UNREACHABLE', `Connecting to ${address} failed: ${message}. ${question}`);
}

/** Why a connection that was open is gone. */
export function lostFault(error: unknown, address: string): Fault {
  const why = error === undefined ? 'the broker or the network closed it' : messageOf(error);
  return new Fault('TOMBOLO_BROKER_LOST', `The connection to ${address} was lost: ${why}. It is being opened again.`, {
    cause: error,
  });
}

/** Why the broker refused something about a queue. */
export function queueFault(error: unknown, doing: string, queue: string, address: string): Fault {
  return destinationFault(error, `${doing} queue "${queue}"`, address);
}

/** Why the broker refused something about a topic. */
export function topicFault(error: unknown, doing: string, topic: string, address: string): Fault {
  return destinationFault(error, `${doing} topic "${topic}"`, address);
}

function destinationFault(error: unknown, doing: string, address: string): Fault {
  if (error instanceof Fault) return error;
  const fault = (code: FaultCode, text: string) => new Fault(code, text, { cause: error });
  if (error instanceof Refused && isForbidden(error.refusal)) {
    return fault(
      'TOMBOLO_NO_PERMISSION',
      `${doing} at ${address} is not permitted: ${error.message}. Grant it (authorizationEntry in activemq.xml).`,
    );
  }
  return fault('TOMBOLO_QUEUE_REFUSED', `${doing} at ${address} failed: ${messageOf(error)}.`);
}

/** There is no such queue, as far as the broker's advisories tell. */
export function absent(doing: string, queue: string, address: string): Fault {
  return new Fault(
    'TOMBOLO_QUEUE_ABSENT',
    `${doing} queue "${queue}" at ${address} failed: there is no such queue. ActiveMQ makes it when it is first used.`,
  );
}

/**
 * What the broker's refusal of a message says of it: a full store or a missing permission is cured by an operator; a temporary queue
 * went with its owner (AbstractRegion.lookup, DestinationDoesNotExistException).
 */
export function publishFailure(refusal: Refusal): {
  readonly outcome: 'poison' | 'refused' | 'forbidden' | 'returned';
  readonly detail: string;
} {
  const detail = refusal.words;
  if (isForbidden(refusal)) return { outcome: 'forbidden', detail };
  if (/DestinationDoesNotExist/.test(refusal.exception) || /^The destination temp-.+ does not exist/.test(detail))
    return { outcome: 'returned', detail };
  // sendFailIfNoSpace: "Usage Manager Memory Limit reached", "... Store is Full".
  if (
    /ResourceAllocationException|TransactionRolledBack/.test(refusal.exception) ||
    /limit reached|is full/i.test(detail)
  ) {
    return { outcome: 'refused', detail };
  }
  return { outcome: 'poison', detail };
}

/** A fault for whoever asked while there is no connection. */
export function notConnected(doing: string): Fault {
  return new Fault('TOMBOLO_BROKER_LOST', `${doing} has to wait: the broker is not connected.`);
}
