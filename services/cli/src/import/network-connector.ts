import { nearest } from '@tombolo/topology/problem';
import {
  carriedOptions,
  type DestinationList,
  destinationLists,
  optionsWithoutEquivalent,
} from './network-connector-options.ts';
import { peersOf } from './transport-uri.ts';
import type { Place, XmlAttribute, XmlElement } from './xml.ts';

/** What a networkConnector says, in the words of the topology. */
export interface ImportedConnector {
  readonly name: string;
  readonly place: Place;
  readonly peers: readonly ImportedPeer[];
  /** Fields of the connector that are not the defaults, in the order in which they are to be written. */
  readonly fields: ReadonlyMap<string, boolean | number>;
  readonly destinations: ReadonlyMap<DestinationList, readonly ImportedDestination[]>;
  /** It gives credentials, which are not repeated. */
  readonly hasCredentials: boolean;
  /** One sentence for everything that was not carried over. */
  readonly comments: readonly string[];
}

/** A broker, by its OpenWire addresses in the order of failover; none: it is looked up in a way that has no equivalent. */
export interface ImportedPeer {
  readonly uris: readonly string[];
}

export interface ImportedDestination {
  readonly kind: 'queue' | 'topic';
  readonly name: string;
}

/** Told what ActiveMQ itself would refuse. */
export type Complain = (
  place: Place,
  message: string,
  more?: { readonly expected?: string; readonly suggestion?: string },
) => void;

const knownAttributes = [...carriedOptions, ...Object.keys(optionsWithoutEquivalent)];

/** Reads one `<networkConnector>`; `index` counts from 0 and names those without a name. */
export function readNetworkConnector(element: XmlElement, index: number, complain: Complain): ImportedConnector {
  const comments: string[] = [];
  const fields = new Map<string, boolean | number>();
  const given = new Map(element.attributes.map((attribute) => [attribute.name, attribute]));
  const note = ({ name, value, place }: XmlAttribute, says: string) => {
    comments.push(`${name}="${/password/i.test(name) ? '…' : value}" (line ${place.line}): ${says}`);
  };
  for (const { name, place } of element.attributes) {
    if (knownAttributes.includes(name)) continue;
    const suggestion = nearest(name, knownAttributes);
    complain(place, `networkConnector has no attribute "${name}"`, suggestion ? { suggestion } : {});
  }

  const flag = (name: string, fallback: boolean): boolean => {
    const attribute = given.get(name);
    if (!attribute) return fallback;
    if (attribute.value === 'true' || attribute.value === 'false') return attribute.value === 'true';
    if (isPlaceholder(attribute.value))
      note(attribute, `is known to ActiveMQ only; ${fallback}, the default, is assumed`);
    else
      complain(attribute.place, `${name}="${attribute.value}" is neither true nor false`, {
        expected: 'true or false',
      });
    return fallback;
  };
  const whole = (name: string): number | undefined => {
    const attribute = given.get(name);
    if (!attribute) return undefined;
    if (/^-?\d{1,9}$/.test(attribute.value)) return Number(attribute.value);
    if (isPlaceholder(attribute.value)) note(attribute, 'is known to ActiveMQ only; the default is assumed');
    else complain(attribute.place, `${name}="${attribute.value}" is no whole number`, { expected: 'a whole number' });
    return undefined;
  };

  if (flag('duplex', false)) fields.set('duplex', true);
  if (!flag('autoStart', true)) fields.set('autoStart', false);
  const hops = whole('consumerTTL') ?? whole('networkTTL') ?? 1;
  const ttl = hops === -1 ? 255 : Math.min(Math.max(hops, 1), 255);
  if (ttl !== 1) fields.set('networkTTL', ttl);
  const ttlAttribute = given.get('consumerTTL') ?? given.get('networkTTL');
  if (ttl !== hops && ttlAttribute) note(ttlAttribute, `networkTTL is from 1 to 255, and so ${ttl}`);
  const consumerTtl = given.get('consumerTTL');
  const networkTtl = given.get('networkTTL');
  if (consumerTtl && networkTtl && consumerTtl.value !== networkTtl.value) note(networkTtl, 'consumerTTL decides');
  const messageTtl = given.get('messageTTL');
  if (messageTtl && whole('messageTTL') !== hops) {
    note(
      messageTtl,
      'a message goes as far as the demand for it has come, which networkTTL bounds, and back again if need be',
    );
  }
  const prefetch = whole('prefetchSize');
  const prefetchAttribute = given.get('prefetchSize');
  if (prefetch !== undefined && prefetch !== 1000) {
    if (prefetch < 1 && prefetchAttribute) {
      complain(prefetchAttribute.place, `prefetchSize="${prefetch}": a networkConnector does not poll`, {
        expected: '1 or more',
      });
    }
    fields.set('prefetchSize', Math.min(Math.max(prefetch, 1), 65_535));
    if (prefetch > 65_535 && prefetchAttribute) note(prefetchAttribute, 'a window has 65535 messages at most');
  }
  for (const name of ['decreaseNetworkConsumerPriority', 'conduitSubscriptions']) {
    if (!flag(name, true)) fields.set(name, false);
  }

  for (const attribute of element.attributes) {
    const option = optionsWithoutEquivalent[attribute.name];
    if (option && attribute.value !== option.expects) note(attribute, option.says);
  }
  const credentials = ['userName', 'password', 'remoteUserName', 'remotePassword'].flatMap(
    (name) => given.get(name) ?? [],
  );
  for (const { name, place } of credentials) {
    comments.push(
      `${name} (line ${place.line}): credentials are not copied; the clusters refer to the environment instead`,
    );
  }

  const uri = given.get('uri');
  if (!uri) complain(element.place, 'networkConnector has no uri', { expected: 'uri="static:(tcp://host:61616)"' });
  const { peers, comments: peerComments } = peersOf(uri?.value ?? '');
  for (const says of peerComments) comments.push(`uri (line ${uri?.place.line}): ${says}`);

  const destinations = readDestinations(element, flag('staticBridge', false), comments, complain);
  const name = given.get('name')?.value ?? `networkConnector-${index + 1}`;
  return { name, place: element.place, peers, fields, destinations, hasCredentials: credentials.length > 0, comments };
}

/** Spring's `${…}`, which ActiveMQ resolves from its own properties. */
function isPlaceholder(value: string): boolean {
  return value.includes('${');
}

function readDestinations(
  element: XmlElement,
  isStatic: boolean,
  comments: string[],
  complain: Complain,
): Map<DestinationList, ImportedDestination[]> {
  const lists = new Map<DestinationList, ImportedDestination[]>();
  for (const list of element.children) {
    const name = destinationLists.find((each) => each === list.name);
    if (name) {
      lists.set(name, [
        ...(lists.get(name) ?? []),
        ...list.children.flatMap((each) => readDestination(each, comments, complain)),
      ]);
    } else if (optionsWithoutEquivalent[list.name]) {
      comments.push(`${list.name} (line ${list.place.line}): ${optionsWithoutEquivalent[list.name]?.says}`);
    } else {
      const suggestion = nearest(list.name, destinationLists);
      complain(list.place, `networkConnector has no element <${list.name}>`, suggestion ? { suggestion } : {});
    }
  }
  const dynamic = lists.get('dynamicallyIncludedDestinations') ?? [];
  if (isStatic) {
    if (dynamic.length > 0) comments.push('staticBridge="true": dynamicallyIncludedDestinations have no effect');
    lists.set('dynamicallyIncludedDestinations', []);
  } else if (dynamic.length === 0) {
    // An empty list includes everything (DemandForwardingBridgeSupport.isPermissableDestination).
    lists.set('dynamicallyIncludedDestinations', [
      { kind: 'queue', name: '>' },
      { kind: 'topic', name: '>' },
    ]);
  }
  return lists;
}

function readDestination(element: XmlElement, comments: string[], complain: Complain): ImportedDestination[] {
  const { line } = element.place;
  const written = element.attributes.find(({ name }) => name === 'physicalName' || name === 'name')?.value;
  const kind = element.name === 'queue' || element.name === 'topic' ? element.name : undefined;
  if (!kind) {
    if (['tempQueue', 'tempTopic'].includes(element.name)) {
      comments.push(`<${element.name}> (line ${line}): ${optionsWithoutEquivalent['bridgeTempDestinations']?.says}`);
    } else complain(element.place, `<${element.name}> is no destination`, { expected: '<queue> or <topic>' });
    return [];
  }
  if (!written) {
    complain(element.place, `<${kind}> has no physicalName`, { expected: `<${kind} physicalName="…"/>` });
    return [];
  }
  // A name may be several, and have options.
  return written.split(',').flatMap((part) => {
    const [path = '', options] = part.trim().split('?', 2);
    const name = path.replace(/^(queue|topic):\/\//, '');
    if (options)
      comments.push(`?${options} (line ${line}): destinations have no options; topicBuffer says what a topic keeps`);
    return name === ''
      ? []
      : [{ kind: path.startsWith('topic://') ? 'topic' : path.startsWith('queue://') ? 'queue' : kind, name }];
  });
}
