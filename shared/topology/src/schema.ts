import { z } from 'zod';
import { clusterSettings } from './cluster-settings.ts';
import { compileRegex } from './pattern.ts';
import { parseRedisUri } from './redis-uri.ts';
import {
  byteRatePattern,
  durationPattern,
  messageRatePattern,
  parseAddress,
  parseBytes,
  parseDurationMs,
  parsePerSecond,
  sizePattern,
} from './units.ts';

/*
 * The shape of the topology file. The `error` of a schema is not a sentence: it is what was expected, as a noun, and
 * load.ts puts it after "expected". Values are judged after references (`${NAME}`, `{file: …}`) have been replaced.
 */

const expected = (what: string) => ({ error: () => what });

/** RabbitMQ keeps times in 32 bits of milliseconds. */
const longestMs = 2 ** 32 - 1;

const duration = (description: string) => {
  const what = 'a duration such as 500ms, 60s, 30m or 30d, 49d at most';
  return z
    .string(expected(what))
    .regex(durationPattern, expected(what))
    .refine((text) => (parseDurationMs(text) ?? 0) <= longestMs, expected(what))
    .transform((text) => parseDurationMs(text)!)
    .meta({ description, examples: ['60s'] });
};

const size = (description: string) => {
  const what = 'a size such as 32MiB, 1GiB, 10MB, or a number of bytes, above 0';
  return z
    .union([z.number(), z.string().meta({ pattern: sizePattern.source })], expected(what))
    .refine((value) => (parseBytes(value) ?? 0) > 0, expected(what))
    .transform((value) => parseBytes(value)!)
    .meta({ description, examples: ['32MiB'] });
};

const rate = (pattern: RegExp, description: string, example: string) => {
  const what = `a rate such as ${example}, above 0`;
  return z
    .union([z.number(), z.string().meta({ pattern: pattern.source })], expected(what))
    .refine((value) => typeof value === 'number' || pattern.test(value), expected(what))
    .refine((value) => (parsePerSecond(value) ?? 0) > 0, expected(what))
    .transform((value) => parsePerSecond(value)!)
    .meta({ description, examples: [example] });
};

const text = (description: string, what = 'text, not empty') =>
  z.string(expected(what)).min(1, expected(what)).meta({ description });

const count = (description: string, max: number) => {
  const what = `a whole number from 1 to ${max}`;
  return z.int(expected(what)).min(1, expected(what)).max(max, expected(what)).meta({ description });
};

const flag = (description: string) => z.boolean(expected('true or false')).meta({ description });

const choice = <const T extends readonly [string, ...string[]]>(values: T, description: string) =>
  z
    .enum(values, expected(`${values.slice(0, -1).join(', ')}${values.length > 1 ? ' or ' : ''}${values.at(-1)}`))
    .meta({ description });

const address = (description: string) => {
  const what = 'host:port, e.g. 127.0.0.1:7461';
  return z
    .string(expected(what))
    .refine((value) => parseAddress(value) !== undefined, expected(what))
    .meta({ description, examples: ['127.0.0.1:7461'] });
};

const uri = (schemes: readonly string[], description: string, example: string) => {
  const what = `a URI such as ${example} (${schemes.map((scheme) => `${scheme}://`).join(', ')})`;
  const judge = (value: string): boolean => {
    if (!URL.canParse(value)) return false;
    const { protocol, hostname } = new URL(value);
    return schemes.includes(protocol.slice(0, -1)) && hostname !== '';
  };
  return z
    .string(expected(what))
    .refine(judge, expected(what))
    .meta({ description, examples: [example] });
};

const list = <T extends z.ZodType>(item: T, description: string, least = 0) =>
  z
    .array(item, expected('a list'))
    .min(least, expected(`a list of at least ${least}`))
    .meta({ description });

const reference = z
  .strictObject({ file: text('Read from here, relative to this file.') })
  .meta({ description: 'The value is the content of a file, without the line break at its end.' });

// biome-ignore lint/suspicious/noTemplateCurlyInString: it is how a reference is written
const secretExpected = 'text that is not empty, ${NAME}, ${NAME:-default} or {file: path}';
const secretText = z.string(expected(secretExpected)).min(1, expected(secretExpected));
/** References are replaced before this is applied, so that `{file: …}` comes out as text: the cast says so. */
const secret = (description: string) =>
  z
    .union([secretText, reference], expected(secretExpected))
    .transform((value) => value as string)
    .meta({ description });

const secrets = (description: string) =>
  z
    .union(
      [secretText, reference, z.array(z.union([secretText, reference])).min(1)],
      expected(`${secretExpected}, or a list`),
    )
    .transform((value) => (Array.isArray(value) ? value : [value]) as string[])
    .meta({ description });

/** What clusters, connectors and networks may be called: the names go into queues' names and metrics' labels. */
export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const nameExpected = 'a name of at most 64 letters, digits, dots, dashes and underscores';
const name = (description: string) =>
  z.string(expected(nameExpected)).regex(namePattern, expected(nameExpected)).meta({ description });

const tlsFiles = {
  ca: text('Certificate authority, PEM, relative to this file.').optional(),
  cert: text('Own certificate and its chain, PEM, relative to this file.').optional(),
  key: text("The certificate's private key, PEM, relative to this file.").optional(),
};

const map = expected('a map');

/** For connections that the bridge makes. */
const clientTls = (description: string) =>
  z
    .strictObject({ ...tlsFiles, serverName: text('The name that the certificate must show.').optional() }, map)
    .meta({ description })
    .optional();

/** `clusters.NAME.broker`. */
export const brokerSchema = z
  .strictObject(
    {
      type: choice(['rabbitmq', 'activemq'], 'What kind of broker it is.'),
      uris: list(
        uri(['amqp', 'amqps', 'stomp', 'stomps', 'stomp+ssl'], 'Where the broker is.', 'amqp://east-0.rabbit:5672/%2F'),
        'Tried in order, then again: failover.',
        1,
      ),
      clusterName: text('A broker that gives another cluster_name is refused.').optional(),
      management: z
        .strictObject(
          {
            uris: list(uri(['http', 'https'], 'Where it is.', 'http://east-0.rabbit:15672'), 'Tried in order.', 1),
            username: secret("Default: the broker's.").optional(),
            password: secret("Default: the broker's.").optional(),
          },
          map,
        )
        .meta({ description: "RabbitMQ's management API; without it, exact names only." })
        .optional(),
      events: z
        .union(
          [z.literal(false), z.strictObject({ vhost: text('Its virtual host.').prefault('/') })],
          expected('{vhost: name} or false'),
        )
        .prefault({})
        .meta({ description: 'Where amq.rabbitmq.event lives; false: do not use it.' }),
      username: secret('The user that the bridge logs in as.').optional(),
      password: secret('Its password.').optional(),
      tls: clientTls('For amqps, https and stomps.'),
    },
    map,
  )
  .meta({ description: "The cluster's broker; needed only where this cluster's bridge runs." });

const redisUri = (() => {
  const what =
    'a URI such as redis://redis.east:6379/0, redis+sentinel://a:26379,b:26379/GROUP or redis+cluster://a:6379,b:6379 (rediss for TLS)';
  return z
    .string(expected(what))
    .refine((value) => parseRedisUri(value) !== undefined, expected(what))
    .meta({
      description: 'Where Redis is: a server, the group that Sentinels watch, or a Redis Cluster.',
      examples: [
        'redis://redis.east:6379/0',
        'redis+sentinel://a:26379,b:26379/mymaster',
        'redis+cluster://a:6379,b:6379',
      ],
    });
})();

/** `clusters.NAME.bridge`. */
export const bridgeSchema = z
  .strictObject(
    {
      listen: address('Links from peers; omit for a cluster that only dials out.').optional(),
      uris: list(
        uri(['ws', 'wss'], 'Where peers dial.', 'wss://tombolo.east.example:7460/link'),
        'Tried in order.',
      ).prefault([]),
      dial: list(name('A cluster.'), 'Which peers this side dials; default: every one that has uris.').optional(),
      metrics: z
        .strictObject(
          {
            listen: address('/metrics, /healthz and /readyz, and nothing else.').optional(),
            destinations: list(text('A name or wildcard.'), 'Which destinations get a label of their own.').prefault(
              [],
            ),
            maxDestinations: count('How many labels at most.', 100_000).prefault(200),
          },
          map,
        )
        .prefault({})
        .meta({ description: 'What Prometheus reads.' }),
      admin: address('API, console, /metrics, /healthz and /readyz.').optional(),
      adminToken: secret('Operations need it; needed when the admin address is off loopback.').optional(),
      tls: z
        .strictObject(
          {
            ...tlsFiles,
            identity: text("The SAN (DNS or spiffe://) that peers must see; default: the cluster's name.").optional(),
          },
          map,
        )
        .meta({ description: 'Mutual TLS of the links.' })
        .optional(),
      secret: secrets('Or a list [new, old]: prove with the first, accept all; proven, never sent.').optional(),
      peers: z
        .record(z.string().regex(namePattern), z.strictObject({ secret: secrets('Of this pair.') }, map), map)
        .meta({ description: 'A secret per pair, which proves identity.' })
        .prefault({}),
      election: z
        .strictObject(
          {
            type: choice(['broker', 'redis', 'none'], 'What decides which replica is master.').prefault('broker'),
            uri: redisUri.optional(),
            tls: clientTls('For rediss.'),
            lease: duration('How long a silent master stays master.').prefault('3s'),
            prefix: text('Before every key in Redis; default: tombolo:NETWORK.').optional(),
          },
          map,
        )
        .prefault({})
        .meta({ description: 'Which of several replicas works.' }),
      deduplication: z
        .strictObject(
          {
            type: choice(['memory', 'redis'], 'Where the record of what is in doubt lives.').prefault('memory'),
            uri: redisUri.optional(),
            tls: clientTls('For rediss.'),
          },
          map,
        )
        .prefault({})
        .meta({ description: 'The record by which duplicates are suppressed.' }),
      deadLetters: z
        .strictObject(
          {
            queue: text('Its name.').prefault('tombolo.dead-letters'),
            maxBytes: size('Its bound.').prefault('1GiB'),
            ttl: duration('How long a dead letter is kept.').prefault('30d'),
          },
          map,
        )
        .prefault({})
        .meta({ description: 'Where messages go that the sink can never take.' }),
      inFlightBytes: size('Bound over all streams of the bridge.').prefault('256MiB'),
      drainTimeout: duration('How long a stop waits for what is in flight.').prefault('20s'),
      insecure: flag('Permits ws:// off loopback: messages and names cross the network in clear text.').prefault(false),
    },
    map,
  )
  .meta({ description: "The cluster's bridge, and where its peers find it." });

/** `clusters.NAME`. */
export const clusterSchema = z.strictObject({ broker: brokerSchema.optional(), bridge: bridgeSchema.optional() }, map);

const prefetchSize = count(
  'The largest window of a stream, in messages; default: 1000, and up to 8000 while consumers starve because the round trip needs it.',
  65_535,
);
const prefetchBytes = size('The largest window of a stream, in bytes.');
const rateLimit = z
  .strictObject(
    {
      messages: rate(messageRatePattern, 'Messages per second, minute or hour.', '5000/s').optional(),
      bytes: rate(byteRatePattern, 'Bytes per second, minute or hour.', '10MiB/s').optional(),
    },
    map,
  )
  .refine((limit) => limit.messages !== undefined || limit.bytes !== undefined, expected('messages, bytes or both'))
  .meta({
    description:
      'The most that is taken from the source, by all destinations of the connector together; an entry with a limit of ' +
      'its own has that instead, for all that it includes. What only passes through a cluster is limited where it came from.',
  });

const kinds = ['queue', 'queueRegex', 'exchange', 'topic'] as const;
const oneOf = kinds.map((kind) => ({ required: [kind] }));
const wildcard = 'a name, in which `*` is one word and a last `>` the rest';
const named = {
  queue: text('A queue; `*` is one dot-separated word, `>` the rest.', wildcard).optional(),
  queueRegex: z
    .string(expected("a regular expression in RE2's syntax"))
    .min(1, expected("a regular expression in RE2's syntax"))
    .refine(
      (value) => compileRegex(value) !== undefined,
      expected("a regular expression in RE2's syntax (no look-around, no back-references)"),
    )
    .meta({ description: 'Queues, by a regular expression (RE2), found anywhere in the name unless anchored.' })
    .optional(),
  exchange: text('RabbitMQ: an exchange; demand is its bindings.', wildcard).optional(),
  topic: text('ActiveMQ topics; on RabbitMQ, amq.topic with routing keys.', wildcard).optional(),
};
const exactlyOne = (entry: object): boolean => kinds.filter((kind) => Object.hasOwn(entry, kind)).length === 1;
const oneKind = expected('exactly one of queue, queueRegex, exchange and topic');

const inclusion = z
  .strictObject(
    {
      ...named,
      prefetchSize: prefetchSize.optional(),
      prefetchBytes: prefetchBytes.optional(),
      rateLimit: rateLimit.optional(),
    },
    map,
  )
  .refine(exactlyOne, oneKind)
  .meta({ oneOf });
const exclusion = z.strictObject(named, map).refine(exactlyOne, oneKind).meta({ oneOf });

/** An entry of `networkConnectors`. */
export const connectorSchema = z
  .strictObject(
    {
      name: name('Unique in the network.'),
      from: name('The cluster that messages leave.'),
      to: name('The cluster that messages go to, on demand there.'),
      duplex: flag('The same both ways.').prefault(false),
      autoStart: flag('false: linked, advertising, matched, but credit 0, until `tombolo resume`.').prefault(true),
      paused: flag('The durable pause.').prefault(false),
      dynamicallyIncludedDestinations: list(
        inclusion,
        'Forwarded on demand; default: every queue, no topic.',
      ).optional(),
      excludedDestinations: list(exclusion, 'Exclusion wins.').prefault([]),
      staticallyIncludedDestinations: list(inclusion, 'Forwarded without demand.').prefault([]),
      createDestinations: choice(
        ['none', 'source', 'sink', 'both'],
        'Declare what is missing, as the other side has it.',
      ).prefault('none'),
      volatileDestinations: choice(
        ['refuse', 'allow'],
        "A sink queue that a restart or its last consumer's leaving would delete.",
      ).prefault('refuse'),
      networkTTL: count('Connectors that a demand, and so a message, may cross.', 255).prefault(1),
      prefetchSize: prefetchSize.optional(),
      prefetchBytes: prefetchBytes.prefault('32MiB'),
      decreaseNetworkConsumerPriority: flag('Remote demand comes after local consumers.').prefault(true),
      conduitSubscriptions: flag('One stream per destination, however many consumers.').prefault(true),
      rateLimit: rateLimit.optional(),
      holdWhenLinkLost: duration("Then what is unsettled goes back to the source's queue.").prefault('60s'),
      topicBuffer: z
        .strictObject(
          {
            ttl: duration('How long it is kept without contact.').prefault('30m'),
            maxLength: count('In messages.', 2 ** 31 - 1).prefault(1_000_000),
            maxBytes: size('In bytes.').prefault('1GiB'),
            queueType: choice(['quorum', 'classic'], 'Of the buffer.').prefault('quorum'),
          },
          map,
        )
        .prefault({})
        .meta({ description: 'What a topic keeps for a peer that is away.' }),
    },
    map,
  )
  .meta({ description: 'The standing permission for messages to flow from one cluster to another.' });

/** The whole file, without its `x-…` keys. Loading judges piece by piece; this is the shape that editors are given. */
export const topologySchema = z.strictObject(
  {
    version: z.literal(1, expected('1')).meta({ description: 'Of this format.' }),
    network: name('The name of the network; bridges of another refuse each other.'),
    clusters: z.record(z.string().regex(namePattern), clusterSchema, map).meta({ description: 'By name.' }),
    networkConnectors: list(connectorSchema, 'In file order: the first that matches owns a destination.').prefault([]),
  },
  map,
);

export type ParsedBroker = z.output<typeof brokerSchema>;
export type ParsedBridge = z.output<typeof bridgeSchema>;
export type ParsedConnector = z.output<typeof connectorSchema>;
export type ParsedInclusion = z.output<typeof inclusion>;

/** JSON Schema (draft 7) of the file as it is written, for editors: units as text, references allowed, `x-…` keys too. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(topologySchema, {
    target: 'draft-7',
    io: 'input',
    override: ({ jsonSchema: part, path }) => {
      // A reference may stand for any text in a cluster; what it resolves to is judged when the file is read.
      if (typeof part.pattern === 'string' && path.includes('clusters') && !path.includes('propertyNames')) {
        part.pattern = `${part.pattern}|\\$\\{`;
      }
    },
  }) as Record<string, unknown>;
  sayWhatNeedsRestart(schema as JsonPart);
  return { title: 'Tombolo topology', ...schema, patternProperties: { '^x-': {} } };
}

interface JsonPart {
  description?: string;
  readonly properties?: Readonly<Record<string, JsonPart>>;
  readonly additionalProperties?: JsonPart;
}

/** A file is followed while bridges run: whoever edits it should know what that does not do. */
function sayWhatNeedsRestart(schema: JsonPart): void {
  const cluster = schema.properties?.['clusters']?.additionalProperties;
  for (const { path, change } of clusterSettings) {
    if (change !== 'restart') continue;
    const part = path.split('.').reduce<JsonPart | undefined>((outer, key) => outer?.properties?.[key], cluster);
    if (part) part.description = `${part.description ?? ''} A change needs a restart of the bridge.`.trimStart();
  }
}

/** The keys that a map at `path` inside `schema` may have: what a typo is compared with. */
export function knownKeys(schema: z.ZodType, path: readonly (string | number)[]): string[] {
  const definition = schema.def as unknown as Record<string, unknown> & { type: string };
  const inside = (definition['innerType'] ?? definition['in']) as z.ZodType | undefined;
  if (inside) return knownKeys(inside, path);
  if (definition.type === 'union')
    return (definition['options'] as z.ZodType[]).flatMap((option) => knownKeys(option, path));
  const [step, ...rest] = path;
  if (definition.type === 'object') {
    const shape = definition['shape'] as Record<string, z.ZodType>;
    if (step === undefined) return Object.keys(shape);
    return Object.hasOwn(shape, step) ? knownKeys(shape[step]!, rest) : [];
  }
  const item = (definition['element'] ?? definition['valueType']) as z.ZodType | undefined;
  return item && step !== undefined ? knownKeys(item, rest) : [];
}
