import { defaultPorts } from '@tombolo/topology/judge';
import type { Topology } from '@tombolo/topology/topology';
import { z } from 'zod';
import { type Site, siteSchema } from './site.ts';

/** How a cluster's own words came here, or why they did not. */
const seen = z
  .enum(['own', 'told', 'silent', 'unreachable'])
  .describe(
    'own: this bridge’s. told: its bridge has answered. silent: it has not, in time. unreachable: no way to it, ' +
      'because a link is down or networkTTL ends before.',
  );

const clusterSchema = z.object({
  name: z.string(),
  seen,
  ageMs: z.number().optional().describe('How long ago its bridge said so; absent: it has not.'),
  site: siteSchema.omit({ links: true, connectors: true, flows: true, cluster: true }).optional(),
});

const linkSchema = z.object({
  between: z.tuple([z.string(), z.string()]),
  state: z.enum(['up', 'down', 'unknown']).describe('down: one of the ends says so. unknown: neither end was heard.'),
  roundTripMs: z.number().optional(),
  reason: z.string().optional(),
});

const connectorSchema = z.object({
  name: z.string(),
  from: z.string(),
  to: z.string(),
  duplex: z.boolean(),
  state: z
    .enum(['up', 'pending', 'down', 'paused', 'unknown'])
    .describe('The worst that an end says. pending: only one end has it in its file. unknown: neither end was heard.'),
  reason: z.string().optional(),
});

const flowSchema = z.object({
  from: z.string(),
  to: z.string(),
  perSecond: z.number().describe('Messages, over the last five seconds.'),
  relayed: z.number().describe('Of these, those that began, or end, at another cluster and were relayed by `from`.'),
  connectors: z.array(z.object({ name: z.string(), perSecond: z.number() })),
});

/** What `/api/v1/network` answers: the network as this bridge sees it, which is what the console draws. */
export const networkSchema = z.object({
  network: z.string(),
  cluster: z.string().describe('The own one.'),
  role: z.enum(['master', 'standby']).describe('A standby hears nobody: it shows its file and its own broker.'),
  clusters: z.array(clusterSchema),
  links: z.array(linkSchema),
  connectors: z.array(connectorSchema),
  flows: z.array(flowSchema).describe('From neighbour to neighbour; those at which nothing flows are left out.'),
});

/** What `/api/v1/brokers` answers. */
export const brokersSchema = z.object({
  items: z.array(
    z.object({
      cluster: z.string(),
      seen,
      ageMs: z.number().optional(),
      type: z.string().optional(),
      up: z.boolean().optional().describe('Its bridge is connected to one of them; absent: not known.'),
      uris: z
        .array(z.object({ uri: z.string(), inUse: z.boolean() }))
        .describe('Without credentials, the one that its bridge is connected to first: a client’s failover list.'),
      note: z.string().optional().describe('What must be known to use them.'),
    }),
  ),
});

export type NetworkAnswer = z.infer<typeof networkSchema>;
export type BrokersAnswer = z.infer<typeof brokersSchema>;

/** One cluster's own words, as far as they are known here. */
export interface Sighting {
  readonly seen: z.infer<typeof seen>;
  readonly ageMs?: number;
  readonly site?: Site;
}

export type Sightings = ReadonlyMap<string, Sighting>;

/** All that is known of a network from here. */
export interface Survey {
  readonly file: NetworkFile;
  /** The own one; it is among the sightings. */
  readonly cluster: string;
  readonly sightings: Sightings;
}

type NetworkFile = Pick<Topology, 'network' | 'connectors'> & { readonly clusters: Readonly<Record<string, unknown>> };

/** The whole network, from the file and what every bridge that was heard says. Pure. */
export function networkOf({ file, cluster, sightings }: Survey): NetworkAnswer {
  const sites = [...sightings.values()].flatMap(({ site }) => (site ? [site] : []));
  return {
    network: file.network,
    cluster,
    role: sightings.get(cluster)?.site?.role ?? 'standby',
    clusters: clusterNames(file, sites).map((name) => clusterOf(name, sightings.get(name))),
    links: linksOf(file, sites),
    connectors: connectorsOf(file, sites),
    flows: flowsBetween(sites),
  };
}

/** Where each cluster's brokers are. Pure. */
export function brokersOf({ file, sightings }: Survey): BrokersAnswer {
  const items = Object.keys(file.clusters).map((cluster) => {
    const { seen: how = 'unreachable', ageMs, site } = sightings.get(cluster) ?? {};
    const base = { cluster, seen: how, ...(ageMs !== undefined && { ageMs }) };
    if (!site) return { ...base, uris: [] };
    const { type, up, uris, address } = site.broker;
    const listed = uris.map((uri) => ({ uri, inUse: up && address !== undefined && isAt(uri, address) }));
    const local = uris.some(isLocal);
    return {
      ...{ ...base, type, up },
      uris: listed.toSorted((a, b) => Number(b.inUse) - Number(a.inUse)),
      ...(local && {
        note: `localhost is the machine of ${cluster}’s bridge: from elsewhere its broker has another name`,
      }),
    };
  });
  return { items };
}

function clusterNames(file: NetworkFile, sites: readonly Site[]): string[] {
  const named = sites.flatMap(({ cluster, connectors }) => [
    cluster,
    ...connectors.flatMap(({ from, to }) => [from, to]),
  ]);
  return [...new Set([...Object.keys(file.clusters), ...named])];
}

function clusterOf(name: string, sighting: Sighting | undefined): NetworkAnswer['clusters'][number] {
  const { seen: how, ageMs, site } = sighting ?? { seen: 'unreachable' as const };
  const base = { name, seen: how, ...(ageMs !== undefined && { ageMs }) };
  if (!site) return base;
  const { links: _, connectors: _1, flows: _2, cluster: _3, ...rest } = site;
  return { ...base, site: rest };
}

const gravity = { down: 3, pending: 2, paused: 1, up: 0 } as const;

/** The connectors of the own file, and those that only others have. */
function connectorsOf(file: NetworkFile, sites: readonly Site[]): NetworkAnswer['connectors'] {
  const found = new Map<string, NetworkAnswer['connectors'][number]>();
  for (const { name, from, to, duplex } of file.connectors) {
    found.set(`${name}\u0000${from}\u0000${to}`, { name, from, to, duplex, state: 'unknown' });
  }
  for (const told of sites.flatMap(({ connectors }) => connectors)) {
    const key = `${told.name}\u0000${told.from}\u0000${told.to}`;
    const known = found.get(key);
    if (!known || known.state === 'unknown' || gravity[told.state] > gravity[known.state]) found.set(key, { ...told });
  }
  return [...found.values()];
}

function linksOf(file: NetworkFile, sites: readonly Site[]): NetworkAnswer['links'] {
  const found = new Map<string, NetworkAnswer['links'][number]>();
  const keyOf = (a: string, b: string): string => [a, b].sort().join('\u0000');
  for (const { from, to } of [...file.connectors, ...sites.flatMap(({ connectors }) => connectors)]) {
    found.set(keyOf(from, to), { between: [from, to], state: 'unknown' });
  }
  for (const { cluster, links } of sites) {
    for (const { peer, up, roundTripMs, reason } of links) {
      const key = keyOf(cluster, peer);
      const { between = [cluster, peer], state = 'unknown' } = found.get(key) ?? {};
      if (!up) found.set(key, { between, state: 'down', ...(reason !== undefined && { reason }) });
      else if (state !== 'down')
        found.set(key, { between, state: 'up', ...(roundTripMs !== undefined && { roundTripMs }) });
    }
  }
  return [...found.values()];
}

/** The sender's count where it was heard: the receiver's leaves out what it relays. */
function flowsBetween(sites: readonly Site[]): NetworkAnswer['flows'] {
  const heard = new Set(sites.map(({ cluster }) => cluster));
  const found = new Map<string, NetworkAnswer['flows'][number]>();
  for (const { cluster, flows } of sites) {
    for (const { from, to, connector, perSecond } of flows) {
      if (from !== cluster && heard.has(from)) continue;
      const key = `${from}\u0000${to}`;
      const flow = found.get(key) ?? { from, to, perSecond: 0, relayed: 0, connectors: [] };
      flow.perSecond += perSecond;
      if (connector === undefined) flow.relayed += perSecond;
      else flow.connectors.push({ name: connector, perSecond });
      found.set(key, flow);
    }
  }
  return [...found.values()];
}

/** `address`: host:port, where adapters say so with the scheme before it and the virtual host behind it. */
function isAt(uri: string, address: string): boolean {
  if (!URL.canParse(uri)) return false;
  const { hostname, port, protocol } = new URL(uri);
  const at = `${hostname}:${port || (defaultPorts[protocol] ?? '')}`;
  return address.replace(/^[a-z0-9+]+:\/\//, '').split('/')[0] === at;
}

function isLocal(uri: string): boolean {
  return URL.canParse(uri) && /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(uri).hostname);
}
