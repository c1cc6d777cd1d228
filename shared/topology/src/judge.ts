import {
  type ClusterDraft,
  type ConnectorDraft,
  type Draft,
  isKnown,
  type Origin,
  type Report,
  valueAt,
} from './draft.ts';
import { nearest } from './problem.ts';
import { vhostOf, withoutCredentials } from './resolve.ts';
import { isLoopback, parseAddress } from './units.ts';

/** Reports what every single value may be and the whole may not: errors that concern more than one place in the file. */
export function judge(draft: Draft, report: Report): void {
  for (const cluster of draft.clusters.values()) {
    judgeBroker(cluster, draft, report);
    judgeBridge(cluster, draft, report);
  }
  judgeSameBroker(draft, report);
  const pairs = new Set<string>();
  for (const [index, connector] of draft.connectors.entries()) {
    const sound = judgeEnds(connector, draft, report);
    judgeName(connector, draft.connectors.slice(0, index), report);
    const { from, to } = connector.value ?? {};
    const pair = [from, to].sort().join('\n');
    if (!sound || from === undefined || to === undefined || pairs.has(pair)) continue;
    pairs.add(pair);
    judgePair(from, to, connector, draft, report);
  }
}

function judgeBroker({ name, broker, origin }: ClusterDraft, draft: Draft, report: Report): void {
  if (!broker) {
    if (!draft.own?.includes(name)) return;
    report.error([name], origin, ['broker'], {
      message: 'is missing',
      expected: 'the broker that this bridge stands beside',
    });
    return;
  }
  const scope = [name];
  const { value } = broker;
  if (!value || !isKnown(broker, ['uris'])) return;
  const schemes = value.type === 'rabbitmq' ? ['amqp:', 'amqps:'] : ['stomp:', 'stomps:', 'stomp+ssl:'];
  for (const [index, uri] of value.uris.entries()) {
    if (!isKnown(broker, ['type']) || schemes.includes(new URL(uri).protocol)) continue;
    const expected = schemes.map((scheme) => `${scheme}//`).join(', ');
    report.error(scope, broker.origin, ['uris', index], { message: `is no URI of ${value.type}`, expected });
  }
  if (new Set(value.uris.map(vhostOf)).size > 1) {
    report.error(scope, broker.origin, ['uris'], 'name more than one virtual host: a cluster has one');
  }
  const users = value.uris.map(withoutCredentials).filter((uri) => uri.username !== undefined);
  if (new Set(users.map((uri) => `${uri.username}\n${uri.password}`)).size > 1) {
    report.error(scope, broker.origin, ['uris'], {
      message: 'have different credentials',
      expected: 'one username and password beside the uris',
    });
  }
  judgeCertificate(broker.value?.tls, [], scope, broker.origin, report);
}

function judgeBridge({ name, bridge }: ClusterDraft, draft: Draft, report: Report): void {
  const value = bridge?.value;
  if (!bridge || !value) return;
  const scope = [name];
  const { origin } = bridge;
  for (const [index, uri] of value.uris.entries()) {
    // Items close up around a hole, and the place would be wrong.
    const path = isKnown(bridge, ['uris']) ? ['uris', index] : ['uris'];
    const { protocol, hostname, username, password } = new URL(uri);
    if (username !== '' || password !== '') {
      report.error(scope, origin, path, { message: 'has credentials in it', expected: 'the secret in bridge.secret' });
    }
    if (protocol === 'ws:' && !isLoopback(hostname) && !value.insecure && isKnown(bridge, ['insecure'])) {
      report.error(scope, origin, path, {
        message: 'is ws:// off loopback: links would cross the network in clear text',
        expected: 'wss://, or insecure: true in this bridge',
      });
    }
  }
  const admin = value.admin === undefined ? undefined : parseAddress(value.admin);
  if (admin && !isLoopback(admin.host) && value.adminToken === undefined && isKnown(bridge, ['adminToken'])) {
    report.error(scope, origin, ['admin'], {
      message: 'is off loopback, and there is no adminToken',
      expected: 'adminToken beside it, or 127.0.0.1',
    });
  }
  const addresses = new Map<string, string>();
  for (const path of [['listen'], ['admin'], ['metrics', 'listen']]) {
    const address = valueAt(value, path);
    if (typeof address !== 'string' || address.endsWith(':0')) continue;
    const other = addresses.get(address);
    if (other) report.error(scope, origin, path, `is the same address as ${other}`);
    else addresses.set(address, path.join('.'));
  }
  for (const section of ['election', 'deduplication'] as const) {
    const { tls, uri } = value[section];
    judgeCertificate(tls, [section], scope, origin, report);
    if (tls && uri !== undefined && !uri.startsWith('rediss') && isKnown(bridge, [section, 'uri'])) {
      report.error(scope, origin, [section, 'tls'], {
        message: 'is of no use with a Redis that is reached without TLS',
        expected: 'rediss:// in the uri beside it',
      });
    }
    if (value[section].type !== 'redis' || value[section].uri !== undefined || !isKnown(bridge, [section, 'uri']))
      continue;
    report.error(scope, origin, [section, 'uri'], {
      message: 'is missing',
      expected: 'redis://host:port for type redis',
    });
  }
  if (value.election.lease < 500 && isKnown(bridge, ['election', 'lease'])) {
    report.error(scope, origin, ['election', 'lease'], { message: 'is too short', expected: 'at least 500ms' });
  }
  judgeCertificate(value.tls, [], scope, origin, report);
  const peers = [...draft.clusters.keys()].filter((other) => other !== name);
  const judgePeer = (peer: string, path: (string | number)[], at: 'key' | 'value'): void => {
    if (peers.includes(peer)) return;
    // What came from the environment is not shown: it may be a secret that went to the wrong place.
    const shown = at === 'key' || valueAt(bridge.raw, path) === peer ? ` called "${peer}"` : ' of this name';
    const message = peer === name ? 'is this cluster itself' : `there is no cluster${shown}`;
    report.error(scope, origin, path, { message, ...oneOf(peer, peers), at });
  };
  if (isKnown(bridge, ['dial'])) {
    for (const [index, peer] of (value.dial ?? []).entries()) judgePeer(peer, ['dial', index], 'value');
  }
  for (const peer of Object.keys(value.peers)) judgePeer(peer, ['peers', peer], 'key');
}

function judgeCertificate(
  tls: { cert?: string | undefined; key?: string | undefined } | undefined,
  within: readonly string[],
  scope: readonly string[],
  origin: Origin,
  report: Report,
): void {
  if (!tls || (tls.cert === undefined) === (tls.key === undefined)) return;
  const present = tls.cert === undefined ? 'key' : 'cert';
  const absent = tls.cert === undefined ? 'cert' : 'key';
  report.error(scope, origin, [...within, 'tls', present], {
    message: `is of no use without ${absent}`,
    expected: 'cert and key',
  });
}

/** Two clusters that are one broker and vhost would take each other's messages for ever. */
function judgeSameBroker(draft: Draft, report: Report): void {
  const seen: { cluster: ClusterDraft; place: string; local: boolean }[] = [];
  for (const cluster of draft.clusters.values()) {
    const { broker } = cluster;
    if (!broker?.value || !isKnown(broker, ['uris'])) continue;
    for (const [index, uri] of broker.value.uris.entries()) {
      const { protocol, hostname, port } = new URL(uri);
      const place = `${hostname.toLowerCase()}:${port || defaultPorts[protocol]} ${vhostOf(uri)}`;
      const other = seen.find((one) => one.place === place && one.cluster !== cluster);
      if (!other) {
        seen.push({ cluster, place, local: isLoopback(hostname) });
        continue;
      }
      const names = [broker.value.clusterName, other.cluster.broker?.value?.clusterName];
      const together = [cluster, other.cluster].every(({ name }) => draft.own?.includes(name));
      const message = `is the same broker and virtual host as cluster ${other.cluster.name}'s`;
      const path = ['uris', index];
      if (!other.local || together) {
        report.error([cluster.name, other.cluster.name], broker.origin, path, message);
      } else if (names[0] !== undefined && names[1] !== undefined && names[0] !== names[1]) {
        // Sidecars: each machine has its own loopback, and the brokers' names say that they differ.
      } else if (hostname.toLowerCase() === 'localhost') {
        report.warning(broker.origin, path, {
          message: `${message}, unless the two bridges run on different machines`,
          expected: 'a clusterName in both, which tells them apart',
        });
      } else {
        report.error([cluster.name, other.cluster.name], broker.origin, path, {
          message,
          expected: 'another broker or vhost; for sidecars on two machines, a clusterName in both',
        });
      }
    }
  }
}

/** Of brokers' URIs that name none, by scheme. */
export const defaultPorts: Readonly<Record<string, string>> = {
  'amqp:': '5672',
  'amqps:': '5671',
  'stomp:': '61613',
  'stomps:': '61612',
  'stomp+ssl:': '61612',
};

function judgeEnds(connector: ConnectorDraft, draft: Draft, report: Report): boolean {
  let sound = true;
  for (const end of ['from', 'to'] as const) {
    const name = valueAt(connector.raw, [end]);
    if (typeof name !== 'string' || draft.clusters.has(name) || !isKnown({ ...connector, value: connector.raw }, [end]))
      continue;
    sound = false;
    const finding = { message: `there is no cluster called "${name}"`, ...oneOf(name, draft.clusters.keys()) };
    report.error(connector.names, connector.origin, [end], finding);
  }
  if (connector.value && connector.value.from === connector.value.to) {
    report.error(connector.names, connector.origin, ['to'], {
      message: 'is the same cluster as from',
      expected: 'another',
    });
    sound = false;
  }
  return sound;
}

function judgeName(connector: ConnectorDraft, earlier: readonly ConnectorDraft[], report: Report): void {
  const name = valueAt(connector.raw, ['name']);
  if (typeof name !== 'string') return;
  const other = earlier.find((one) => valueAt(one.raw, ['name']) === name);
  if (!other) return;
  const { document, path } = other.origin;
  const here = connector.origin.document.file;
  const { line } = document.locate([...path, 'name']);
  const where = document.file === here ? `line ${line}` : `${document.file}:${line} and in ${here}`;
  report.error([...connector.names, ...other.names], connector.origin, ['name'], {
    message: `a connector of this name is already in ${where}`,
    expected: 'a name of its own',
  });
}

/** Between the two ends of a connector one must listen, and the other must know where and be allowed to dial. */
function judgePair(from: string, to: string, connector: ConnectorDraft, draft: Draft, report: Report): void {
  if ([from, to].every((name) => draft.own?.includes(name))) return;
  const ends = [draft.clusters.get(from)!, draft.clusters.get(to)!];
  if (ends.some(({ bridge }) => bridge && !['listen', 'uris', 'dial'].every((key) => isKnown(bridge, [key])))) return;
  const [a, b] = ends.map(({ bridge }) => bridge?.value);
  if (a?.listen === undefined && b?.listen === undefined) {
    report.error([from, to], connector.origin, [], {
      message: `neither ${from} nor ${to} listens: no link can come about`,
      expected: 'bridge.listen and bridge.uris in one of them',
    });
    return;
  }
  const dials = (dialler: typeof a, peer: string, listener: typeof a): boolean =>
    listener?.listen !== undefined && listener.uris.length > 0 && (dialler?.dial?.includes(peer) ?? true);
  if (dials(a, to, b) || dials(b, from, a)) return;
  report.error([from, to], connector.origin, [], {
    message: `neither ${from} nor ${to} can dial the other: no link can come about`,
    expected: 'bridge.uris in the one that listens, and the other without dial or with it in dial',
  });
}

/** What was expected where a cluster's name was written, and the nearest. */
export function oneOf(written: string, known: Iterable<string>): { expected: string; suggestion: string | undefined } {
  const names = [...known];
  const expected = names.length === 0 ? 'another cluster' : `one of ${names.join(', ')}`;
  return { expected, suggestion: nearest(written, names) };
}
