/*
 * Names of one world in the other's. A queue has the same name in both; a topic of ActiveMQ is a routing key of RabbitMQ's
 * `amq.topic`: words between dots in both.
 */

/** The exchange whose routing keys are ActiveMQ's topics. */
export const topicExchange = 'amq.topic';

const queuePrefix = '/queue/';
const topicPrefix = '/topic/';
/** What a broker calls a temporary destination that another connection made (ActiveMQ, LegacyFrameTranslator.convertDestination). */
const literalPrefixes = [topicPrefix, '/remote-temp-queue/', '/remote-temp-topic/'];

/** Exchange and routing key of a message from its `destination` header. A temporary destination is a queue by its whole name. */
export function addressOf(destination: string): { readonly exchange: string; readonly routingKey: string } {
  return destination.startsWith(topicPrefix)
    ? { exchange: topicExchange, routingKey: destination.slice(topicPrefix.length) }
    : { exchange: '', routingKey: queueNameOf(destination) };
}

/** The `destination` header with which a message of this exchange and routing key is sent. The default exchange is that of the queues. */
export function destinationOf({
  exchange,
  routingKey,
}: {
  readonly exchange: string;
  readonly routingKey: string;
}): string {
  return exchange === '' ? queueDestination(routingKey) : topicPrefix + obeyedByNobody(routingKey);
}

/** False for what `queueNameOf` names as a whole: a topic, or a temporary destination. */
export function isQueueName(name: string): boolean {
  return !literalPrefixes.some((prefix) => name.startsWith(prefix));
}

/** The queue that a destination names; a topic and a temporary destination are named as a whole (also in `reply-to`). */
export function queueNameOf(destination: string): string {
  return destination.startsWith(queuePrefix) ? destination.slice(queuePrefix.length) : destination;
}

/** The opposite of `queueNameOf`. `/temp-queue/…` would make ActiveMQ create one, so it is a queue's name like any other. */
export function queueDestination(name: string): string {
  return isQueueName(name) ? queuePrefix + obeyedByNobody(name) : name;
}

/**
 * ActiveMQ takes a name with a comma for several destinations, what follows a question mark for options, a word `*` or `>` for a
 * wildcard, and cuts blanks at both ends. Nothing of it may happen to a message, so these characters are percent-encoded.
 */
function obeyedByNobody(name: string): string {
  if (!/[,?*>]|^[\0- ]|[\0- ]$/.test(name)) return name;
  return name
    .replace(/[,?]|^[\0- ]+|[\0- ]+$/g, percentEncoded)
    .split('.')
    .map((word) => (word === '*' || word === '>' ? percentEncoded(word) : word))
    .join('.');
}

function percentEncoded(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

/**
 * The binding key of `amq.topic` that takes what consumers of this topic get: `*` is one word in both worlds, a last `>` none or
 * more, as `#` is (5.17: `a.>` takes `a` and `a.b.c`).
 */
export function bindingKeyOf(topic: string): string {
  const words = topic.split('.');
  if (words.at(-1) === '>') words[words.length - 1] = '#';
  return words.join('.');
}

/**
 * The topic to subscribe to for a binding key. ActiveMQ has its `>` at the end only: a `#` elsewhere becomes one, and what is
 * delivered then has to be filtered by the key (`exact` is false).
 */
export function topicOf(bindingKey: string): { readonly topic: string; readonly exact: boolean } {
  const words = bindingKey.split('.');
  const at = words.indexOf('#');
  if (at < 0) return { topic: bindingKey, exact: true };
  const isLast = words.slice(at).every((word) => word === '#');
  return { topic: [...words.slice(0, at), '>'].join('.'), exact: isLast };
}
