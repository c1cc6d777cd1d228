/*
 * What ActiveMQ's networkConnector can be told (NetworkBridgeConfiguration, NetworkConnector), other than what the importer
 * carries over, and what becomes of it. `expects`: the value that is as Tombolo is, so that there is nothing to say.
 */

export interface OptionWithoutEquivalent {
  readonly expects?: string;
  readonly says: string;
}

/** Carried over by network-connector.ts. */
export const carriedOptions = [
  'name',
  'uri',
  'autoStart',
  'duplex',
  'networkTTL',
  'consumerTTL',
  'messageTTL',
  'prefetchSize',
  'decreaseNetworkConsumerPriority',
  'conduitSubscriptions',
  'staticBridge',
  'userName',
  'password',
  'remoteUserName',
  'remotePassword',
] as const;

const internal = 'OpenWire between brokers only; bridges have a protocol of their own';
const demandIsShared = 'the nearest way to a demand is always the only one, so a consumer is not served twice';

export const optionsWithoutEquivalent: Readonly<Record<string, OptionWithoutEquivalent>> = {
  advisoryForFailedForward: {
    expects: 'false',
    says: 'what cannot be forwarded is parked in tombolo.dead-letters, with the reason, and counted',
  },
  advisoryAckPercentage: { says: internal },
  advisoryPrefetchSize: { says: internal },
  alwaysSyncSend: {
    expects: 'true',
    says: 'every message, persistent or not, is acknowledged only after the sink’s broker has confirmed it',
  },
  bridgeFactory: { says: internal },
  bridgeTempDestinations: {
    says: 'temporary destinations are not bridged; a reply-to that names one is rewritten, and the reply finds its way back',
  },
  brokerName: { says: 'the cluster’s name stands for it' },
  brokerURL: { says: 'clients ask a bridge for addresses: GET /api/v1/brokers' },
  checkDuplicateMessagesOnDuplex: {
    expects: 'false',
    says: 'duplicates are suppressed in both directions, by message id and content',
  },
  clientIdToken: { says: internal },
  conduitNetworkQueueSubscriptions: {
    expects: 'true',
    says: 'there is one stream per destination, whoever asks for it',
  },
  connectionFilter: { says: 'a bridge links with the clusters that the file names, and proves who it is' },
  consumerPriorityBase: {
    says: 'the bridge consumes with one priority below every application, however many hops away demand is',
  },
  destinationFilter: { says: internal },
  dispatchAsync: { expects: 'true', says: internal },
  durableDestinations: { says: 'the broker fills it, not an operator' },
  dynamicOnly: {
    says: 'a topic is kept for a peer that is away as topicBuffer says, whether its subscriber is durable or not',
  },
  gcDestinationViews: { says: 'which destinations have metrics of their own: bridge.metrics' },
  gcSweepTime: { says: 'which destinations have metrics of their own: bridge.metrics' },
  localUri: { says: 'the bridge connects to broker.uris of its cluster' },
  sslContext: { says: 'TLS is configured with broker.tls and bridge.tls of the clusters' },
  suppressDuplicateQueueSubscriptions: { expects: 'true', says: demandIsShared },
  suppressDuplicateTopicSubscriptions: { expects: 'true', says: demandIsShared },
  syncDurableSubs: { says: 'bridges compare all demand whenever they link, and again from time to time' },
  useBrokerNamesAsIdSeed: { says: internal },
  useCompression: { expects: 'false', says: 'bodies cross the link as they are' },
  useVirtualDestSubs: {
    expects: 'false',
    says: 'demand is that of the queue or topic consumed from; include the queues Consumer.*.VirtualTopic.>, or the topics, but not both',
  },
};

/** Elements inside a networkConnector that list destinations. */
export const destinationLists = [
  'dynamicallyIncludedDestinations',
  'excludedDestinations',
  'staticallyIncludedDestinations',
] as const;

export type DestinationList = (typeof destinationLists)[number];
