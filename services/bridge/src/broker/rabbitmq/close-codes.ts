import { Fault, type FaultCode, messageOf } from '@tombolo/kernel/fault';

/** AMQP reply codes that mean something to the bridge (specification 1.2, and RabbitMQ's use of them). */
export const replyCode = {
  contentTooLarge: 311,
  connectionForced: 320,
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
  notAllowed: 530,
  notImplemented: 540,
  internalError: 541,
} as const;

/** The reply code of an error that amqplib made of a close frame; undefined for anything else. */
export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'number' ? code : undefined;
}

/** True when the broker closed the channel because of this very method (amqplib's errors carry the ids of the close frame). */
export function isAnswerTo(error: unknown, classId: number, methodId: number): boolean {
  const close = error as { classId?: unknown; methodId?: unknown } | undefined;
  return codeOf(error) !== undefined && close?.classId === classId && close?.methodId === methodId;
}

/** The broker's own words within amqplib's message, without their full stop: `404 (NOT-FOUND) with message "…"` → `…`. */
export function brokersWords(error: unknown): string {
  const message = messageOf(error);
  const words = /with message "(.*)"\)?$/s.exec(message)?.[1] ?? message;
  return words.replace(/\.+$/, '');
}

/** Where and as whom it was tried; no secret among it. */
export interface Attempt {
  readonly address: string;
  readonly vhost: string;
  readonly username: string;
}

/** Why a connection could not be opened. amqplib hides the reply of `connection.open`, hence the last resort by its wording. */
export function connectFault(error: unknown, attempt: Attempt): Fault {
  const message = messageOf(error);
  const code = (error as { code?: unknown } | undefined)?.code;
  const { address, vhost, username } = attempt;
  const fault = (fault: FaultCode, text: string) => new Fault(fault, text, { cause: error });
  if (/ACCESS[-_]REFUSED/.test(message)) {
    return fault(
      'TOMBOLO_BROKER_ACCESS_REFUSED',
      `${address} refused the user "${username}": ${brokersWords(error)}. Check user name and password of this cluster.`,
    );
  }
  if (/NOT[-_]ALLOWED/.test(message) || /Expected ConnectionOpenOk; got <ConnectionClose/.test(message)) {
    return fault(
      'TOMBOLO_BROKER_ACCESS_REFUSED',
      `${address} does not let the user "${username}" into the virtual host "${vhost}": it does not exist, the user has no permission in it, or its connection limit is reached. Create it (rabbitmqctl add_vhost) or grant access (rabbitmqctl set_permissions).`,
    );
  }
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `Nothing accepts connections at ${address} (${code}). Is the broker up, and is the port right?`,
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `The host name of ${address} cannot be resolved (${code}). Check it, and DNS.`,
    );
  }
  if (/closed abruptly during opening handshake|ECONNRESET/.test(`${String(code)} ${message}`)) {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `${address} closed the connection before it answered. Is this the port of AMQP, and does it want ${address.startsWith('amqps') ? 'amqp://, or a certificate (broker.tls cert and key)' : 'TLS (amqps://)'}?`,
    );
  }
  if (/ETIMEDOUT/.test(message)) {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `${address} did not answer in time. Is a firewall or an overloaded broker in the way?`,
    );
  }
  if (/certificate|SSL|TLS|wrong version number|ERR_TLS|self.signed/i.test(`${String(code)} ${message}`)) {
    return fault(
      'TOMBOLO_BROKER_UNREACHABLE',
      `TLS with ${address} failed: ${message}. Check ca, cert, key and serverName of this cluster, and that the port speaks TLS.`,
    );
  }
  return fault(
    'TOMBOLO_BROKER_UNREACHABLE',
    `Connecting to ${address} failed: ${message}. Is this a RabbitMQ node that is up?`,
  );
}

/** Why a connection that was open is gone. */
export function lostFault(error: unknown, address: string): Fault {
  if (error === undefined) {
    return new Fault('TOMBOLO_BROKER_LOST', `The connection to ${address} was closed. It is being opened again.`);
  }
  const why = /Heartbeat timeout/.test(messageOf(error))
    ? 'no heartbeat came for two intervals'
    : /Unexpected close|Socket closed abruptly|ECONNRESET|EPIPE/.test(messageOf(error))
      ? 'the broker or the network dropped it'
      : brokersWords(error);
  return new Fault('TOMBOLO_BROKER_LOST', `The connection to ${address} was lost: ${why}. It is being opened again.`, {
    cause: error,
  });
}

/**
 * True when the queue exists, but the node that it lives on is down: RabbitMQ says 404 of it, as of one that was deleted.
 * `home node 'n@host' of durable queue 'q' in vhost '/' is down or inaccessible`
 */
export function isUnavailable(error: unknown): boolean {
  return codeOf(error) === replyCode.notFound && /is down or inaccessible/.test(brokersWords(error));
}

/** Why the broker refused something about a queue (consume, passive declare, declare). */
export function queueFault(error: unknown, doing: string, queue: string, address: string): Fault {
  const fault = (code: FaultCode, text: string) => new Fault(code, text, { cause: error });
  const words = brokersWords(error);
  switch (codeOf(error)) {
    case replyCode.notFound:
      if (isUnavailable(error)) {
        return fault(
          'TOMBOLO_QUEUE_UNAVAILABLE',
          `${doing} queue "${queue}" at ${address} has to wait: ${words}. Its messages are there again with that node.`,
        );
      }
      return fault(
        'TOMBOLO_QUEUE_ABSENT',
        `${doing} queue "${queue}" at ${address} failed: there is no such queue. Declare it, or wait for its application to.`,
      );
    case replyCode.accessRefused:
      if (/exclusive/.test(words)) {
        return fault(
          'TOMBOLO_QUEUE_REFUSED',
          `${doing} queue "${queue}" at ${address} was refused: a consumer has it exclusively (${words}). It is tried again.`,
        );
      }
      return fault(
        'TOMBOLO_NO_PERMISSION',
        `${doing} queue "${queue}" at ${address} is not permitted: ${words}. Grant it (rabbitmqctl set_permissions).`,
      );
    case replyCode.resourceLocked:
      return fault(
        'TOMBOLO_QUEUE_REFUSED',
        `${doing} queue "${queue}" at ${address} was refused: it is exclusive to another connection (${words}).`,
      );
    case replyCode.preconditionFailed:
      return fault('TOMBOLO_QUEUE_REFUSED', `${doing} queue "${queue}" at ${address} was refused: ${words}.`);
    case undefined:
      return fault(
        'TOMBOLO_CHANNEL_CLOSED',
        `${doing} queue "${queue}" at ${address} was interrupted: its channel closed. It can be tried again.`,
      );
    default:
      return fault('TOMBOLO_QUEUE_REFUSED', `${doing} queue "${queue}" at ${address} failed: ${words}.`);
  }
}

/** Why the broker refused something about an exchange; `what` names it, e.g. `queue "a" to exchange "b"`. */
export function exchangeFault(error: unknown, doing: string, what: string, address: string): Fault {
  const words = brokersWords(error);
  const fault = (code: FaultCode, text: string) => new Fault(code, text, { cause: error });
  switch (codeOf(error)) {
    case replyCode.notFound:
      if (/no exchange/.test(words)) {
        return fault(
          'TOMBOLO_EXCHANGE_ABSENT',
          `${doing} ${what} at ${address} failed: there is no such exchange. Declare it, or wait for its application to.`,
        );
      }
      return fault('TOMBOLO_QUEUE_ABSENT', `${doing} ${what} at ${address} failed: there is no such queue.`);
    case replyCode.accessRefused:
      return fault(
        'TOMBOLO_NO_PERMISSION',
        `${doing} ${what} at ${address} is not permitted: ${words}. Binding needs to write the queue and to read the exchange (rabbitmqctl set_permissions).`,
      );
    case undefined:
      return fault(
        'TOMBOLO_CHANNEL_CLOSED',
        `${doing} ${what} at ${address} was interrupted: its channel closed. It can be tried again.`,
      );
    default:
      return fault('TOMBOLO_QUEUE_REFUSED', `${doing} ${what} at ${address} failed: ${words}.`);
  }
}

/** True when a queue could not be declared only because it is there with another expiry. */
export function hasOtherExpiry(error: unknown): boolean {
  return codeOf(error) === replyCode.preconditionFailed && /inequivalent arg 'x-expires'/.test(brokersWords(error));
}

/** What a publish channel's close says of the message that caused it. */
export function publishFailure(error: unknown): {
  readonly outcome: 'poison' | 'refused' | 'forbidden';
  readonly detail: string;
} {
  const code = codeOf(error);
  const detail = brokersWords(error);
  // A missing permission or exchange is cured by an operator, not by setting the message aside.
  if (code === replyCode.accessRefused) return { outcome: 'forbidden', detail };
  if (code === replyCode.notFound) return { outcome: 'refused', detail };
  return { outcome: 'poison', detail };
}
