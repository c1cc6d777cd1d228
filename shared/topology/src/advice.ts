import { type ClusterDraft, type ConnectorDraft, type Draft, type Report, valueAt } from './draft.ts';
import { isReserved } from './filter.ts';
import { covers, hasLiteralWildcard, isExact, type Pattern } from './pattern.ts';
import { hasReference } from './references.ts';
import { patternOf, vhostOf } from './resolve.ts';
import { isLoopback, parseAddress } from './units.ts';

/** Reports as warnings what is legal and probably unwanted. */
export function advise(draft: Draft, report: Report): void {
  for (const cluster of draft.clusters.values()) {
    adviseClearText(cluster, report);
    adviseBroker(cluster, report);
    adviseListening(cluster, report);
  }
  for (const [index, connector] of draft.connectors.entries()) {
    adviseInclusions(connector, report);
    adviseSight(connector, draft.clusters, report);
    adviseDuplex(connector, draft.connectors.slice(0, index), report);
  }
}

function adviseClearText({ broker, bridge }: ClusterDraft, report: Report): void {
  const message = 'stands here in clear text';
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is how a reference is written
  const expected = '${NAME} or {file: path}';
  const literal = (value: unknown): boolean => typeof value === 'string' && value !== '' && !hasReference(value);
  for (const [piece, paths] of [
    [broker, [['password'], ['management', 'password']]],
    [bridge, [['adminToken'], ['secret'], ...peerSecrets(bridge?.raw)]],
  ] as const) {
    for (const path of piece ? paths : []) {
      const written = valueAt(piece!.raw, path);
      const places = Array.isArray(written)
        ? written.map((item, index) => [item, [...path, index]] as const)
        : [[written, path] as const];
      for (const [value, place] of places)
        if (literal(value)) report.warning(piece!.origin, place, { message, expected });
    }
  }
  for (const [piece, paths] of [
    [broker, [...listed(broker?.raw, ['uris']), ...listed(broker?.raw, ['management', 'uris'])]],
    [
      bridge,
      [
        ['election', 'uri'],
        ['deduplication', 'uri'],
      ],
    ],
  ] as const) {
    for (const path of piece ? paths : []) {
      const uri = valueAt(piece!.raw, path);
      const [, password] = (typeof uri === 'string' && /^[^/]*:\/\/[^/:@]*:([^/]*)@/.exec(uri)) || [];
      if (literal(password)) {
        report.warning(piece!.origin, path, {
          message: 'has credentials in clear text',
          // biome-ignore lint/suspicious/noTemplateCurlyInString: it is how a reference is written
          expected: '${NAME} in their place',
        });
      }
    }
  }
}

function peerSecrets(raw: unknown): (readonly string[])[] {
  const peers = valueAt(raw, ['peers']);
  return typeof peers === 'object' && peers !== null ? Object.keys(peers).map((peer) => ['peers', peer, 'secret']) : [];
}

function listed(raw: unknown, path: readonly string[]): (readonly (string | number)[])[] {
  const items = valueAt(raw, path);
  return Array.isArray(items) ? items.map((_, index) => [...path, index]) : [];
}

function adviseBroker({ broker }: ClusterDraft, report: Report): void {
  if (!broker?.value) return;
  if (broker.value.type === 'activemq') {
    for (const key of ['management', 'events', 'clusterName']) {
      if (valueAt(broker.raw, [key]) === undefined) continue;
      report.warning(broker.origin, [key], { message: "is RabbitMQ's, and has no effect here", at: 'key' });
    }
  }
  if (broker.value.uris.some((uri) => vhostOf(uri) === '')) {
    report.warning(broker.origin, ['uris'], {
      message: 'name the virtual host "" by ending in /',
      expected: '%2F for "/"',
    });
  }
}

function adviseListening({ bridge }: ClusterDraft, report: Report): void {
  const value = bridge?.value;
  const listen = value?.listen === undefined ? undefined : parseAddress(value.listen);
  if (!bridge || !value || !listen || isLoopback(listen.host)) return;
  const raw = (key: string): boolean => valueAt(bridge.raw, [key]) !== undefined;
  if (!raw('secret') && !raw('peers') && value.tls?.ca === undefined) {
    report.warning(bridge.origin, ['listen'], {
      message: 'is off loopback, and nothing proves who a peer is',
      expected: 'secret, peers or tls.ca',
    });
  }
  if (value.tls?.cert === undefined && !value.insecure) {
    report.warning(bridge.origin, ['listen'], {
      message: 'is off loopback without TLS; right only when TLS ends in front of it',
      expected: 'tls: {cert, key}, or insecure: true',
    });
  }
}

function adviseInclusions({ value, origin, holes }: ConnectorDraft, report: Report): void {
  if (!value) return;
  const dynamic = value.dynamicallyIncludedDestinations;
  if (dynamic === undefined && !holes.some((hole) => hole[0] === 'dynamicallyIncludedDestinations')) {
    report.warning(origin, [], {
      message: 'has no dynamicallyIncludedDestinations, so every queue that a bridge may touch is included',
      expected: 'a list; `- queue: ">"` says the same on purpose',
    });
  }
  const excluded = value.excludedDestinations.map(patternOf);
  for (const key of [
    'dynamicallyIncludedDestinations',
    'staticallyIncludedDestinations',
    'excludedDestinations',
  ] as const) {
    // Items close up around a hole, and the places would be wrong.
    if (holes.some((hole) => hole[0] === key)) continue;
    for (const [index, entry] of (value[key] ?? []).entries()) {
      const pattern = patternOf(entry);
      const path = [key, index, pattern.kind];
      if (pattern.kind !== 'queueRegex' && hasLiteralWildcard(pattern.pattern)) {
        report.warning(origin, path, {
          message: 'has a `*` or `>` that is an ordinary character there',
          expected: '`*` as a whole word between dots, `>` as the last word, or queueRegex',
        });
      }
      if (key === 'excludedDestinations') continue;
      const cover = excluded.find((exclusion) => coversAll(exclusion, pattern));
      if (cover) report.warning(origin, path, `is wholly covered by the exclusion of ${cover.kind} ${cover.pattern}`);
      const { kind } = pattern;
      if (kind !== 'queueRegex' && isReserved({ kind, name: pattern.pattern })) {
        report.warning(origin, path, 'is a reserved name, which is never bridged');
      }
    }
  }
}

/** Without a list of queues only exact names are found: at the sink for demand, at the source for what is static. */
function adviseSight({ value, origin, holes }: ConnectorDraft, clusters: Draft['clusters'], report: Report): void {
  if (!value) return;
  const { from, to, duplex } = value;
  const places = [
    ['dynamicallyIncludedDestinations', duplex ? [to, from] : [to]],
    ['staticallyIncludedDestinations', duplex ? [from, to] : [from]],
  ] as const;
  for (const [key, where] of places) {
    const blind = where.filter((name) => isBlind(clusters.get(name)));
    if (blind.length === 0 || holes.some((hole) => hole[0] === key)) continue;
    const message = `means queues that ${blind.join(' and ')} cannot list without a management API`;
    const expected = 'exact names, or broker.management there';
    if (value[key] === undefined) report.warning(origin, [], { message, expected });
    for (const [index, entry] of (value[key] ?? []).entries()) {
      const { kind, pattern } = patternOf(entry);
      if (kind !== 'queueRegex' && (kind !== 'queue' || isExact(pattern))) continue;
      report.warning(origin, [key, index, kind], { message, expected });
    }
  }
}

/** The file says where its broker is, and names no way to list its queues. */
function isBlind(cluster: ClusterDraft | undefined): boolean {
  const broker = cluster?.broker;
  if (broker?.value?.type !== 'rabbitmq' || broker.holes.some((hole) => hole[0] === 'management')) return false;
  return broker.value.management === undefined;
}

function coversAll(exclusion: Pattern, inclusion: Pattern): boolean {
  if (exclusion.kind === 'queueRegex')
    return inclusion.kind === 'queueRegex' && exclusion.pattern === inclusion.pattern;
  if (inclusion.kind === 'queueRegex') return exclusion.kind === 'queue' && covers(exclusion.pattern, '>');
  return exclusion.kind === inclusion.kind && covers(exclusion.pattern, inclusion.pattern);
}

/** A duplex connector is both directions already: declaring the other one does nothing, or not what was meant. */
function adviseDuplex({ value, origin }: ConnectorDraft, earlier: readonly ConnectorDraft[], report: Report): void {
  if (!value) return;
  const filters = (one: typeof value): string =>
    JSON.stringify([one.dynamicallyIncludedDestinations, one.staticallyIncludedDestinations, one.excludedDestinations]);
  for (const { value: other } of earlier) {
    if (!other || !(value.duplex || other.duplex)) continue;
    const same = value.from === other.from && value.to === other.to;
    const reverse = value.from === other.to && value.to === other.from;
    const alike = filters(value) === filters(other);
    // Two duplex connectors one way with different filters are a division of labour; both ways round they are a slip.
    if (!(same && alike) && !(reverse && (alike || (value.duplex && other.duplex)))) continue;
    report.warning(origin, ['name'], {
      message: `joins ${value.from} and ${value.to} as connector ${other.name} already does, and one of them is duplex`,
      expected: 'one duplex connector, or one for each direction',
    });
    return;
  }
}
