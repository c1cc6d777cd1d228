import { nearest, type Problem } from '@tombolo/topology/problem';
import type { ImportedPart, ImportedTopology } from '../import-yaml.ts';
import { type ImportedConnector, readNetworkConnector } from './network-connector.ts';
import { destinationLists } from './network-connector-options.ts';
import { addressOf, type BrokerAddress } from './transport-uri.ts';
import { elementsNamed, type Place, readXml, type XmlElement, XmlError } from './xml.ts';

/** A topology, or what is wrong with the configuration. */
export type Imported = { readonly topology: ImportedTopology } | { readonly problems: readonly Problem[] };

/** ActiveMQ's ports for STOMP, where only OpenWire's is known. */
const stompPort = '61613';
const stompTlsPort = '61612';
const linkPort = 7460;

/**
 * Turns the networkConnectors of an activemq.xml into a topology: a cluster for the broker, one for each broker that it connects to, a
 * connector for each pair, and a comment for everything that was not carried over. No credential is repeated.
 * @param file only named, in problems and in the heading
 */
export function importActiveMq(text: string, file: string): Imported {
  const problems: Problem[] = [];
  const complain = (place: Place, message: string, more = {}) => {
    problems.push({ severity: 'error', file, ...place, path: '', message, ...more });
  };
  let document: XmlElement;
  try {
    document = readXml(text);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    complain(error.place, `is no well-formed XML: ${error.message}`);
    return { problems };
  }
  const brokers = elementsNamed(document, 'broker');
  if (brokers.length === 0) {
    const expected = 'the configuration of an ActiveMQ Classic broker (activemq.xml)';
    complain(document.place, 'there is no <broker> in it', { expected });
  }
  const site = new Site();
  for (const broker of brokers) site.add(broker, complain);
  if (problems.length === 0 && site.connectors.length === 0) {
    const expected = '<networkConnectors> with a <networkConnector> in it';
    complain(brokers[0]?.place ?? document.place, 'the broker has no networkConnector: there is nothing to import', {
      expected,
    });
  }
  return problems.length > 0 ? { problems } : { topology: topologyOf(site, file) };
}

interface SiteCluster {
  readonly name: string;
  /** Of its STOMP connector, as far as that is known. */
  readonly uris: readonly string[];
  readonly comments: readonly string[];
  hasCredentials: boolean;
}

interface SiteConnector {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly imported: ImportedConnector;
}

/** Clusters and connectors under names that are each other's. */
class Site {
  readonly clusters = new Map<string, SiteCluster>();
  readonly connectors: SiteConnector[] = [];
  readonly comments: string[] = [];

  add(broker: XmlElement, complain: (place: Place, message: string, more?: object) => void): void {
    const attribute = (name: string) => broker.attributes.find((each) => each.name === name);
    const own = this.#cluster(attribute('brokerName')?.value ?? 'localhost', () => ownAddress(broker));
    if (broker.children.some(({ name, children }) => name === 'plugins' && children.some(isAuthentication)))
      own.hasCredentials = true;
    const advisories = attribute('advisorySupport');
    if (advisories?.value === 'false') {
      this.comments.push(
        `advisorySupport="false" (line ${advisories.place.line}): the bridge learns from advisories who consumes; without them, only staticallyIncludedDestinations are forwarded`,
      );
    }
    for (const policy of elementsNamed(broker, 'networkBridgeFilterFactory')) {
      this.comments.push(
        `networkBridgeFilterFactory (line ${policy.place.line}): a message that has moved goes on, or back, as soon as only another site can take it; for a rate, see rateLimit`,
      );
    }
    const lists = broker.children
      .filter(({ name }) => name === 'networkConnectors')
      .flatMap(({ children }) => children);
    for (const [index, element] of lists.entries()) {
      if (element.name === 'networkConnector') this.#connect(own, readNetworkConnector(element, index, complain));
      else if (/NetworkConnector$|^bean$/.test(element.name)) {
        this.comments.push(
          `<${element.name}> (line ${element.place.line}): whom it connects to is decided elsewhere; a topology names its clusters, so name them`,
        );
      } else {
        const suggestion = nearest(element.name, ['networkConnector']);
        complain(element.place, `networkConnectors has no element <${element.name}>`, suggestion ? { suggestion } : {});
      }
    }
  }

  #connect(own: SiteCluster, imported: ImportedConnector): void {
    if (imported.hasCredentials) own.hasCredentials = true;
    for (const { uris } of imported.peers) {
      const addresses = uris.flatMap((uri) => addressOf(uri) ?? []);
      const host = addresses[0]?.host;
      const wanted = host === undefined || host.includes('${') ? `${imported.name}-peer` : host;
      const peer = this.#cluster(wanted === own.name ? `${wanted}-peer` : wanted, () => peerAddress(uris, addresses));
      if (imported.hasCredentials) peer.hasCredentials = true;
      const base = identifier(imported.peers.length > 1 ? `${imported.name}-${peer.name}` : imported.name);
      const taken = new Set(this.connectors.map(({ name }) => name));
      this.connectors.push({ name: free(base, taken), from: own.name, to: peer.name, imported });
    }
  }

  #cluster(wanted: string, address: () => Pick<SiteCluster, 'uris' | 'comments'>): SiteCluster {
    const { uris, comments } = address();
    const name = identifier(wanted);
    const known = [...this.clusters.values()].find(
      (each) =>
        each.name === name ||
        (uris.length > 0 && uris.some((uri) => each.uris.includes(uri) && !/localhost|127\.0\.0\.1/.test(uri))),
    );
    if (known) return known;
    const cluster: SiteCluster = { name, uris, comments, hasCredentials: false };
    this.clusters.set(name, cluster);
    return cluster;
  }
}

const isAuthentication = ({ name }: XmlElement): boolean => /authentication|authorization|shiro/i.test(name);

/** The broker's own STOMP connector, as the bridge beside it reaches it. */
function ownAddress(broker: XmlElement): Pick<SiteCluster, 'uris' | 'comments'> {
  const connectors = elementsNamed(broker, 'transportConnector');
  for (const { attributes, place } of connectors) {
    const uri = attributes.find(({ name }) => name === 'uri')?.value ?? '';
    if (!/^(auto\+)?stomp/i.test(uri)) continue;
    const address = addressOf(uri);
    const everywhere = ['0.0.0.0', '[::]', '::'].includes(address?.host ?? '0.0.0.0');
    const isTls = address?.isTls === true;
    const port = address?.port?.includes('${') ? undefined : address?.port;
    const host = everywhere || address?.host.includes('${') ? 'localhost' : address?.host;
    return {
      uris: [`${isTls ? 'stomp+ssl' : 'stomp'}://${host}:${port ?? (isTls ? stompTlsPort : stompPort)}`],
      comments: [`its transportConnector in line ${place.line}`],
    };
  }
  return {
    uris: [`stomp://localhost:${stompPort}`],
    comments: ['it has no transportConnector for STOMP yet: add one, e.g. uri="stomp+nio://0.0.0.0:61613"'],
  };
}

function peerAddress(
  uris: readonly string[],
  addresses: readonly BrokerAddress[],
): Pick<SiteCluster, 'uris' | 'comments'> {
  if (addresses.length === 0) return { uris: [], comments: ['say where this broker is'] };
  return {
    uris: addresses.map(({ host, isTls }) =>
      isTls ? `stomp+ssl://${hostName(host)}:${stompTlsPort}` : `stomp://${hostName(host)}:${stompPort}`,
    ),
    comments: [`where it has STOMP, most probably; OpenWire was at ${uris.join(', ')}`],
  };
}

/** Spring's placeholder becomes a reference to the environment. */
function hostName(host: string): string {
  const inside = /^\$\{([^}:]*)/.exec(host)?.[1];
  return inside === undefined ? host : reference(variable(inside));
}

/** How the topology refers to a variable of the environment. */
function reference(name: string): string {
  return `\${${name}}`;
}

function variable(text: string): string {
  const name = text.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
  return /^[A-Z_]/.test(name) ? name : `_${name}`;
}

/** As a cluster, a connector and a network may be called. */
function identifier(text: string): string {
  const name = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 64)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return name === '' ? 'unnamed' : name;
}

function free(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted.slice(0, 60)}-${count}`;
  return name;
}

// ---- the topology --------------------------------------------------------------------------------------------------------

function topologyOf({ clusters, connectors, comments }: Site, file: string): ImportedTopology {
  return {
    comments: [
      `From ${file}, by tombolo import activemq.`,
      'Set the variables of the environment, or put the values here; a {file: path} is as good for a secret. A bridge runs beside',
      'each of these brokers: tombolo run --config FILE --cluster NAME. When all do, take the networkConnectors out of the brokers.',
      ...comments,
    ],
    network: 'activemq',
    clusters: new Map([...clusters.values()].map((cluster) => [cluster.name, clusterPart(cluster)])),
    connectors: connectors.map(connectorPart),
  };
}

function clusterPart({ name, uris, comments, hasCredentials }: SiteCluster): ImportedPart {
  const env = (what: string) => reference(`${variable(name)}_${what}`);
  return {
    comments: hasCredentials ? comments : [...comments, 'broker.username and broker.password, if it asks for them'],
    value: {
      broker: {
        type: 'activemq',
        uris: uris.length > 0 ? uris : [env('BROKER_URI')],
        ...(hasCredentials && { username: env('USERNAME'), password: env('PASSWORD') }),
      },
      bridge: {
        listen: `0.0.0.0:${linkPort}`,
        uris: [`wss://${env('BRIDGE_HOST')}:${linkPort}`],
        secret: reference('TOMBOLO_SECRET'),
      },
    },
  };
}

function connectorPart({ name, from, to, imported }: SiteConnector): ImportedPart {
  const destinations = destinationLists.flatMap((list): [string, unknown][] => {
    const entries = imported.destinations.get(list);
    return entries ? [[list, entries.map(({ kind, name: its }) => ({ [kind]: its }))]] : [];
  });
  const value = { name, from, to, ...Object.fromEntries([...imported.fields, ...destinations]) };
  return { comments: imported.comments, value };
}
