/*
 * Names that mean something to a broker, so that a property of an application that is called so must not be given to it under
 * that name. Tried on ActiveMQ 5.17.2: FrameTranslator.Helper, LegacyFrameTranslator, ActiveMQMessage, SchedulerBroker.
 */

/** Headers of a MESSAGE frame that say of the message, or of its delivery, what is mapped by itself or belongs to the broker. */
const messageHeaders = new Set([
  'ack',
  'amq-msg-type',
  'content-encoding',
  'content-length',
  'content-type',
  'correlation-id',
  'destination',
  'expires',
  'JMSXDeliveryCount',
  'JMSXGroupFirstForConsumer',
  'JMSXUserID',
  'message-id',
  'persistent',
  'priority',
  'redelivered',
  'reply-to',
  'subscription',
  'timestamp',
  'type',
]);

/** True: not a property that the application set. */
export function isMessageHeader(name: string): boolean {
  return messageHeaders.has(name);
}

/** Headers of SEND that ActiveMQ obeys, takes out, or hides behind its own on the way to a consumer. */
const sendHeaders = new Set([
  ...messageHeaders,
  'original-destination',
  'receipt',
  'scheduledJobId',
  'transaction',
  'transformation',
  'transformation-error',
]);

/** Message groups: obeyed, and meant to be. */
export const groupId = 'JMSXGroupID';
export const groupSequence = 'JMSXGroupSeq';

/** Of the bridge's own properties, and of those that stand for a header of a name that means something. */
export const ownPrefix = 'tombolo_';
export const escapePrefix = `${ownPrefix}header_`;

/**
 * The property under which ActiveMQ keeps a header of AMQP. A name that it would obey is prefixed: `JMSPriority` would set the
 * priority, `AMQ_SCHEDULED_DELAY` delay the message, and a `JMSXGroupSeq` that is no number end the connection.
 */
export function propertyNameOf(header: string, text: string): string {
  const isFree =
    header === groupId ||
    (header === groupSequence && /^-?\d{1,9}$/.test(text)) ||
    !(sendHeaders.has(header) || /^(JMS[A-Z]|AMQ_|tombolo_)/.test(header));
  return isFree ? header : escapePrefix + header;
}

/** The header of AMQP that a property stands for. */
export function headerNameOf(property: string): string {
  return property.startsWith(escapePrefix) ? property.slice(escapePrefix.length) : property;
}

/**
 * True when a string of this name cannot be a header of AMQP: RabbitMQ routes by `CC` and `BCC` and closes the channel when they are
 * no arrays; the others are bridges' and quorum queues' own, and taken out on the way.
 */
export function isReservedHeader(name: string): boolean {
  return (
    name === '' ||
    Buffer.byteLength(name) > 255 ||
    /^(CC|BCC|x-delivery-count|x-acquired-count|x-tombolo-.*)$/.test(name)
  );
}
