import type { StompFrame } from './stomp-codec.ts';

/** What an advisory of the broker tells (`transformation:jms-advisory-json`; activemq-client, AdvisorySupport). */
export type Advisory =
  | { readonly is: 'consumer'; readonly consumer: ConsumerFact }
  | { readonly is: 'consumer-gone'; readonly id: string }
  /** A durable subscription was removed. */
  | { readonly is: 'subscription-gone'; readonly clientId: string; readonly subscription: string }
  | { readonly is: 'queue'; readonly queue: string }
  | { readonly is: 'queue-gone'; readonly queue: string }
  | { readonly is: 'connection'; readonly id: string; readonly clientId: string; readonly from: string }
  | { readonly is: 'connection-gone'; readonly id: string };

export interface ConsumerFact {
  /** Connection, session and number. */
  readonly id: string;
  readonly connection: string;
  /** Of a composite destination all queues; with wildcards, as they are. */
  readonly queues: readonly string[];
  /** Likewise. */
  readonly topics: readonly string[];
  /** The name of the durable subscription that it is the consumer of. */
  readonly subscription: string | undefined;
  /** It consumes from a temporary queue, which is its own connection's. */
  readonly temporary: boolean;
  /**
   * 0: it asks for each message, or the broker is just making it. Where a receipt is asked for, STOMP subscribes with 0, and sets what was
   * asked for after the receipt (ProtocolConverter.onStompSubscribe); the advisory shows what it is when it is written. AMQP 1.0
   * begins with 0 as well.
   */
  readonly prefetch: number;
  readonly priority: number;
  readonly exclusive: boolean;
  /** It takes nothing. */
  readonly browser: boolean;
  /** A network of brokers made it. */
  readonly network: boolean;
  readonly selector: string | undefined;
}

/** The topics that tell of queues, consumers, and connections. A subscriber is first told of all that there are. */
export const advisoryTopics = [
  '/topic/ActiveMQ.Advisory.Connection',
  '/topic/ActiveMQ.Advisory.Queue',
  '/topic/ActiveMQ.Advisory.Consumer.Queue.>',
  '/topic/ActiveMQ.Advisory.Consumer.Topic.>',
] as const;

/** The topic that tells of the consumers of one queue. */
export function consumersOf(queue: string): string {
  return `/topic/ActiveMQ.Advisory.Consumer.Queue.${queue}`;
}

/** It may be: what a consumer of a queue can take is not known yet, or it asks for one message at a time. */
export function isBeingMade({ prefetch, queues, temporary, browser }: ConsumerFact): boolean {
  return prefetch === 0 && queues.length > 0 && !temporary && !browser;
}

interface Destination {
  readonly '@class'?: string;
  readonly string?: string;
}

interface ConsumerInfo {
  readonly consumerId: ObjectId;
  readonly destination: Destination;
  readonly prefetchSize: number;
  readonly priority: number;
  readonly exclusive: boolean;
  readonly browser: boolean;
  readonly networkSubscription?: boolean;
  readonly selector?: string;
  readonly subscriptionName?: string;
}

interface ObjectId {
  readonly '@class'?: string;
  readonly value: string | number;
  readonly connectionId?: string;
  readonly sessionId?: number;
}

interface Body {
  readonly ConsumerInfo?: ConsumerInfo;
  readonly DestinationInfo?: { readonly destination: Destination; readonly operationType: number };
  readonly ConnectionInfo?: {
    readonly connectionId: { readonly value: string };
    readonly clientId?: string;
    readonly clientIp?: string;
  };
  readonly RemoveInfo?: { readonly objectId: ObjectId };
  readonly RemoveSubscriptionInfo?: { readonly clientId: string; readonly subscriptionName: string };
}

/** Undefined: it tells nothing that is of interest. */
export function readAdvisory({ body }: StompFrame): Advisory | undefined {
  let told: Body;
  try {
    told = JSON.parse(asTexts(body.toString('utf8'))) as Body;
  } catch {
    return undefined;
  }
  const {
    ConsumerInfo: consumer,
    DestinationInfo: destination,
    ConnectionInfo: connection,
    RemoveInfo: removed,
    RemoveSubscriptionInfo: unsubscribed,
  } = told;
  if (consumer) return { is: 'consumer', consumer: factOf(consumer) };
  if (removed?.objectId['@class'] === 'ConsumerId') return { is: 'consumer-gone', id: idOf(removed.objectId) };
  if (removed?.objectId['@class'] === 'ConnectionId')
    return { is: 'connection-gone', id: String(removed.objectId.value) };
  if (unsubscribed) {
    const { clientId, subscriptionName } = unsubscribed;
    return { is: 'subscription-gone', clientId, subscription: subscriptionName };
  }
  if (connection) {
    const { connectionId, clientId = '', clientIp = '' } = connection;
    return { is: 'connection', id: connectionId.value, clientId, from: clientIp };
  }
  if (destination?.destination['@class'] === 'ActiveMQQueue') {
    // operationType 1: removed (DestinationInfo.REMOVE_OPERATION_TYPE).
    return {
      is: destination.operationType === 1 ? 'queue-gone' : 'queue',
      queue: destination.destination.string ?? '',
    };
  }
  return undefined;
}

/** Jettison writes a name that looks like a whole number, or like true or false, without quotes. */
function asTexts(json: string): string {
  return json.replace(/"(string|clientId|subscriptionName|selector)":(true|false|-?\d+)(?=[,}])/g, '"$1":"$2"');
}

function factOf(info: ConsumerInfo): ConsumerFact {
  const { destination, consumerId, selector, subscriptionName } = info;
  return {
    id: idOf(consumerId),
    connection: consumerId.connectionId ?? '',
    queues: namesOf(destination, 'queue'),
    topics: namesOf(destination, 'topic'),
    subscription: subscriptionName,
    temporary: destination['@class'] === 'ActiveMQTempQueue',
    prefetch: info.prefetchSize,
    priority: info.priority,
    exclusive: info.exclusive,
    browser: info.browser,
    network: info.networkSubscription === true,
    // The STOMP connector puts the way in which it compares before it.
    selector: selector?.replace(/^convert_string_expressions:/, '') || undefined,
  };
}

/** Of a queue `a,queue://b,topic://c` are a and b queues, and c is a topic; a name without kind is of that of the whole. */
function namesOf({ '@class': itsClass, string = '' }: Destination, kind: 'queue' | 'topic'): string[] {
  if (itsClass === 'ActiveMQTempTopic') return [];
  const own = itsClass === 'ActiveMQTopic' ? 'topic' : 'queue';
  return string.split(',').flatMap((part) => {
    const [, prefix = own, name = part] = /^(queue|topic):\/\/(.*)$/.exec(part) ?? [];
    return prefix === kind ? [name] : [];
  });
}

function idOf({ connectionId, sessionId, value }: ObjectId): string {
  return `${connectionId}:${sessionId}:${value}`;
}
