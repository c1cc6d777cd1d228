import { Fault } from '@tombolo/kernel/fault';
import { compileRegex } from '@tombolo/topology/pattern';
import { ImportedClusters } from './import-clusters.ts';
import type { ImportedPart, ImportedTopology } from './import-yaml.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The parts of an export that are looked at; whatever else is in it has nothing to do with other clusters. */
interface Definitions {
  readonly policies: readonly Fields[];
  readonly parameters: readonly Fields[];
  readonly exchanges: readonly Fields[];
  readonly clusterName: string;
}

const hundredMs = 100;

/**
 * A topology that does what federation and shovels of a RabbitMQ cluster did. Every key that has no equivalent is told in a comment
 * beside the connector that it was of, and so is what cannot be had at all.
 * @param definitions as `rabbitmqctl export_definitions` writes them
 * @throws Fault TOMBOLO_USAGE when they are none
 */
export function topologyFromDefinitions(
  definitions: unknown,
  { file, cluster }: { readonly file: string; readonly cluster?: string | undefined },
): ImportedTopology {
  const read = readDefinitions(definitions, file);
  const clusters = new ImportedClusters(cluster ?? read.clusterName);
  const connectors = new Connectors();
  const dropped: string[] = [];
  for (const each of federations(read)) connectors.federation(each, read, clusters, dropped);
  for (const shovel of componentsOf(read, 'shovel')) connectors.shovel(shovel, clusters, dropped);
  for (const { vhost, name } of componentsOf(read, 'federation-upstream')) {
    if (!connectors.upstreams.has(keyOf(vhost, name))) {
      dropped.push(`upstream ${name} of virtual host ${vhost}: no policy uses it`);
    }
  }
  const comments = [
    `Made by \`tombolo import rabbitmq\` from ${file}. Put addresses and secrets right, then try \`tombolo validate\` and`,
    '`tombolo plan --live`. Remove the policies and shovels that a connector stands for before it runs: both would move messages.',
    'Bridges prove who they are to each other: each cluster needs one, beside it.',
    ...dropped.map((text) => `Not imported: ${text}.`),
  ];
  return { comments, network: 'imported', clusters: clusters.parts(), connectors: connectors.parts };
}

function readDefinitions(definitions: unknown, file: string): Definitions {
  const top = fields(definitions);
  const list = (key: string): Fields[] => (Array.isArray(top[key]) ? (top[key] as unknown[]).map(fields) : []);
  if (!('parameters' in top) && !('policies' in top)) {
    const what = 'a map with policies and parameters, as `rabbitmqctl export_definitions FILE` writes it';
    throw new Fault('TOMBOLO_USAGE', `${file}:1:1: there are no definitions in it; expected ${what}.`);
  }
  const named = list('global_parameters').find(({ name }) => name === 'cluster_name')?.['value'];
  return {
    policies: list('policies'),
    parameters: list('parameters'),
    exchanges: list('exchanges'),
    clusterName: typeof named === 'string' ? named : 'local',
  };
}

interface Component {
  readonly vhost: string;
  readonly name: string;
  readonly value: unknown;
}

function componentsOf({ parameters }: Definitions, component: string): Component[] {
  return parameters
    .filter((each) => each['component'] === component)
    .map(({ vhost, name, value }) => ({ vhost: String(vhost ?? '/'), name: String(name), value }));
}

// ---- federation --------------------------------------------------------------------------------------------------------------

/** A policy, and one of the upstreams that it names, with what a set says otherwise of it. */
interface Federation {
  readonly policy: {
    readonly name: string;
    readonly vhost: string;
    readonly pattern: string;
    readonly appliesTo: string;
  };
  readonly upstream: string;
  readonly value: Fields;
}

/** In order of priority: one policy per object wins in RabbitMQ, the first connector that means it does here. */
function federations(read: Definitions): Federation[] {
  const upstreams = componentsOf(read, 'federation-upstream');
  const sets = componentsOf(read, 'federation-upstream-set');
  const byPriority = read.policies.toSorted((a, b) => Number(b['priority'] ?? 0) - Number(a['priority'] ?? 0));
  return byPriority.flatMap((each) => {
    const definition = fields(each['definition']);
    const vhost = String(each['vhost'] ?? '/');
    const here = upstreams.filter((upstream) => upstream.vhost === vhost);
    const policy = {
      ...{ name: String(each['name']), vhost, pattern: String(each['pattern'] ?? '') },
      appliesTo: String(each['apply-to'] ?? 'all'),
    };
    const one = definition['federation-upstream'];
    const pattern = definition['federation-upstream-pattern'];
    const set = definition['federation-upstream-set'];
    const all = here.map((upstream) => ({ policy, upstream: upstream.name, value: fields(upstream.value) }));
    if (typeof one === 'string') return all.filter(({ upstream }) => upstream === one);
    if (typeof pattern === 'string') return all.filter(({ upstream }) => compileRegex(pattern)?.(upstream) ?? false);
    if (set === 'all') return all;
    const members = sets.find((other) => other.vhost === vhost && other.name === set)?.value;
    return (Array.isArray(members) ? members.map(fields) : []).flatMap(({ upstream: name, ...otherwise }) =>
      all
        .filter(({ upstream }) => upstream === name)
        .map((found) => ({ ...found, value: { ...found.value, ...otherwise } })),
    );
  });
}

/** Why an upstream's key has no equivalent; a key that is not here has one, or is not known. */
const upstreamRemarks: Readonly<Record<string, string>> = {
  'ack-mode': 'a message is acknowledged at its source once the sink has confirmed it, always',
  'reconnect-delay': 'bridges reconnect with back-off of their own',
  'trust-user-id': 'the sender’s user-id travels in a header, and is not obeyed',
  'message-ttl': 'what waits for a peer has the buffer’s bounds (topicBuffer), and no time of its own',
  'consumer-tag': 'bridges’ consumers are named tombolo.…',
  'bind-nowait': 'bindings are copied by the bridge',
  'channel-use-mode': 'a bridge has channels of its own making',
  'resource-cleanup-mode': 'a stop keeps the buffers; `tombolo cleanup` deletes them',
};

const shovelRemarks: Readonly<Record<string, string>> = {
  'ack-mode': upstreamRemarks['ack-mode']!,
  'reconnect-delay': upstreamRemarks['reconnect-delay']!,
  'add-forward-headers': 'x-tombolo-path says which clusters a message came through',
  'dest-add-forward-headers': 'x-tombolo-path says which clusters a message came through',
  'dest-add-timestamp-header': 'headers are not added',
  'dest-publish-properties': 'properties arrive as they were sent',
  'dest-properties': 'properties arrive as they were sent',
  'src-consumer-args': 'the bridge consumes with the priority that decreaseNetworkConsumerPriority says',
  'src-consumer-name': 'bridges’ consumers are named tombolo.…',
  'src-queue-args': 'a queue is declared as the other side has it (createDestinations)',
  'dest-queue-args': 'a queue is declared as the other side has it (createDestinations)',
};

/** Keys that decide where messages come from and go to, or are taken over. */
const understood = new Set([
  ...['uri', 'prefetch-count', 'max-hops', 'expires', 'queue-type', 'queue', 'exchange'],
  ...[
    'src-uri',
    'src-queue',
    'src-exchange',
    'src-exchange-key',
    'src-protocol',
    'src-prefetch-count',
    'prefetch-count',
  ],
  ...['src-delete-after', 'delete-after', 'src-predeclared', 'dest-predeclared'],
  ...['dest-uri', 'dest-queue', 'dest-exchange', 'dest-exchange-key', 'dest-protocol'],
]);

class Connectors {
  readonly parts: ImportedPart[] = [];
  /** Those that a connector was made of. */
  readonly upstreams = new Set<string>();
  readonly #names = new Set<string>();

  /** A connector for one policy and one of its upstreams. */
  federation(
    { policy, upstream, value }: Federation,
    read: Definitions,
    clusters: ImportedClusters,
    dropped: string[],
  ): void {
    const origin = `policy ${policy.name} (${policy.pattern}) and upstream ${upstream} of virtual host ${policy.vhost}`;
    this.upstreams.add(keyOf(policy.vhost, upstream));
    const destinations = this.#federated(policy, value, read, origin, dropped);
    if (destinations.length === 0) return;
    const uris = [value['uri']].flat().filter((uri) => typeof uri === 'string');
    const from = clusters.remote(upstream, uris, policy.vhost);
    if (!from) return void dropped.push(`${origin}: its uri is not one of AMQP 0-9-1`);
    const expires = value['expires'];
    const queueType = value['queue-type'];
    const buffer = {
      ...(typeof expires === 'number' && { ttl: durationText(expires) }),
      ...(queueType === 'classic' || queueType === 'quorum' ? { queueType } : {}),
    };
    const hops = value['max-hops'];
    this.parts.push({
      comments: [`From ${origin}.`, ...this.#remarks(value, upstreamRemarks)],
      value: {
        name: this.#name(`${upstream}-${policy.name}`),
        from,
        to: clusters.local(policy.vhost),
        dynamicallyIncludedDestinations: destinations,
        ...(typeof hops === 'number' && hops > 1 && { networkTTL: hops }),
        ...prefetch(value['prefetch-count']),
        ...(Object.keys(buffer).length > 0 && { topicBuffer: buffer }),
      },
    });
  }

  /** The entries that mean what the policy applies to. */
  #federated(
    { vhost, pattern, appliesTo }: Federation['policy'],
    value: Fields,
    { exchanges }: Definitions,
    origin: string,
    dropped: string[],
  ): Record<string, string>[] {
    const matches = compileRegex(pattern);
    if (!matches) {
      dropped.push(
        `${origin}: the pattern is not one of RE2 (look-around, back-references); name the queues in a connector`,
      );
      return [];
    }
    const renamed = ['queue', 'exchange'].find((key) => value[key] !== undefined && value[key] !== '');
    if (renamed) {
      dropped.push(
        `${origin}: the ${renamed} has another name upstream (${String(value[renamed])}), here it has the same at both ends`,
      );
      return [];
    }
    const entries: Record<string, string>[] = [];
    if (/^(?:all|queues|classic_queues|quorum_queues)$/.test(appliesTo)) entries.push({ queueRegex: pattern });
    if (appliesTo === 'all' || appliesTo === 'exchanges') {
      const names = exchanges.filter((each) => String(each['vhost'] ?? '/') === vhost).map(({ name }) => String(name));
      const meant = names.filter((name) => name !== '' && !name.startsWith('amq.') && matches(name));
      entries.push(...meant.map((exchange) => ({ exchange })));
      if (meant.length === 0 && appliesTo === 'exchanges') dropped.push(`${origin}: no exchange has such a name`);
    }
    return entries;
  }

  /** A connector for a shovel between queues of the same name. */
  shovel({ vhost, name, value }: Component, clusters: ImportedClusters, dropped: string[]): void {
    const said = fields(value);
    const origin = `shovel ${name} of virtual host ${vhost}`;
    const [source, sink] = [said['src-queue'], said['dest-queue']];
    const why =
      (typeof source !== 'string' &&
        'it takes from an exchange; include that with `- exchange:` in a connector, on demand') ||
      (source !== sink &&
        sink !== undefined &&
        `queue ${String(source)} goes to ${String(sink)}; here it has the same name at both ends`) ||
      (sink === undefined && 'it publishes to an exchange, and a connector brings queues to queues') ||
      (oneOff(said) && 'it was made to end by itself (src-delete-after)') ||
      ([said['src-protocol'], said['dest-protocol']].some((protocol) => protocol === 'amqp10') && 'it speaks AMQP 1.0');
    if (why) return void dropped.push(`${origin}: ${why}`);
    const from = clusters.end(`${name}-source`, said['src-uri'], vhost);
    const to = clusters.end(`${name}-destination`, said['dest-uri'], vhost);
    if (!from || !to) return void dropped.push(`${origin}: an address of it is not one of AMQP 0-9-1`);
    if (from === to) return void dropped.push(`${origin}: both its ends are one broker and virtual host`);
    const missing = [
      ...(said['src-predeclared'] === true ? [] : ['source']),
      ...(said['dest-predeclared'] === true ? [] : ['sink']),
    ];
    this.parts.push({
      comments: [
        `From ${origin}. It moves everything, consumers or not; move the entry to dynamicallyIncludedDestinations for what is consumed only.`,
        ...this.#remarks(said, shovelRemarks),
      ],
      value: {
        name: this.#name(name),
        from,
        to,
        dynamicallyIncludedDestinations: [],
        staticallyIncludedDestinations: [{ queue: source }],
        ...(missing.length > 0 && { createDestinations: missing.length === 2 ? 'both' : missing[0] }),
        ...prefetch(said['src-prefetch-count'] ?? said['prefetch-count']),
      },
    });
  }

  /** A comment for each key that has no equivalent; values are told unless they may hold a secret. */
  #remarks(value: Fields, known: Readonly<Record<string, string>>): string[] {
    return Object.keys(value)
      .filter((key) => !understood.has(key))
      .map((key) => {
        const said = ['string', 'number', 'boolean'].includes(typeof value[key]) ? `: ${String(value[key])}` : '';
        return `No equivalent of ${key}${said}: ${known[key] ?? 'it is not known to this version'}.`;
      });
  }

  #name(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
        .slice(0, 60) || 'imported';
    let name = base;
    for (let count = 2; this.#names.has(name); count++) name = `${base}-${count}`;
    this.#names.add(name);
    return name;
  }
}

function prefetch(count: unknown): { readonly prefetchSize?: number } {
  return typeof count === 'number' && count > 0 ? { prefetchSize: Math.min(count, 65_535) } : {};
}

function oneOff(value: Fields): boolean {
  const after = value['src-delete-after'] ?? value['delete-after'] ?? 'never';
  return after !== 'never';
}

/** Of the file, to the tenth of a second. */
function durationText(ms: number): string {
  const rounded = Math.max(hundredMs, Math.round(ms / hundredMs) * hundredMs);
  return rounded % 1000 === 0 ? `${rounded / 1000}s` : `${rounded}ms`;
}

function keyOf(vhost: string, name: string): string {
  return `${vhost}\u0000${name}`;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
