import { z } from 'zod';
import type { BridgeView } from './view.ts';

/** What one bridge says of its own cluster: to whoever looks at it, and to other bridges when they are asked for the network. */
export const siteSchema = z.object({
  cluster: z.string(),
  instance: z.string().describe('The bridge that says so.'),
  version: z.string(),
  role: z.enum(['master', 'standby']),
  broker: z.object({
    type: z.string(),
    up: z.boolean(),
    uris: z.array(z.string()).describe('As its topology file lists them, without credentials.'),
    address: z.string().optional().describe('host:port/vhost in use.'),
    product: z.string().optional(),
    reason: z.string().optional().describe('Why it is not up.'),
    blocked: z.string().optional().describe('Its alarm, when it takes no messages.'),
  }),
  drains: z.array(z.enum(['process', 'cluster'])).describe('What operators have drained.'),
  demand: z.number().describe('Destinations that consumers of some cluster want.'),
  unserved: z.number().describe('Of these, those that are not served.'),
  streams: z.number(),
  waiting: z.number().describe('Of these, those on which nothing moves, with a reason.'),
  deadLetters: z.number().optional().describe('As last looked at.'),
  links: z.array(
    z.object({
      peer: z.string(),
      up: z.boolean(),
      roundTripMs: z.number().optional(),
      reason: z.string().optional().describe('Why it is not up.'),
    }),
  ),
  connectors: z.array(
    z.object({
      name: z.string(),
      from: z.string(),
      to: z.string(),
      duplex: z.boolean(),
      state: z.enum(['up', 'pending', 'down', 'paused']),
      reason: z.string().optional(),
    }),
  ),
  flows: z
    .array(
      z.object({
        from: z.string(),
        to: z.string(),
        connector: z.string().optional().describe('Absent: relayed for other clusters.'),
        perSecond: z.number().describe('Messages, over the last five seconds.'),
      }),
    )
    .describe(
      'From here to neighbours, counted as they settle; and from neighbours to here, counted as they are stored.',
    ),
});

export type Site = z.infer<typeof siteSchema>;

/** Messages per second: by connector, or by neighbour where they are relayed for others. */
export interface FlowRates {
  readonly forwarded: ReadonlyMap<string, number>;
  readonly delivered: ReadonlyMap<string, number>;
  readonly relayed: ReadonlyMap<string, number>;
}

/** What the bridge of this view says of its cluster. Pure. */
export function siteOf(view: BridgeView, uris: readonly string[], rates: FlowRates): Site {
  const { cluster, instance, version, role, broker, demand, streams } = view;
  return {
    ...{ cluster, instance, version, role },
    broker: {
      ...{ type: broker.type, up: broker.up, uris: [...uris] },
      ...present({ address: broker.address, product: broker.product, reason: broker.reason, blocked: broker.blocked }),
    },
    drains: view.drains.map(({ scope }) => scope),
    demand: demand.length,
    unserved: demand.filter(({ unserved }) => unserved !== undefined).length,
    streams: streams.length,
    waiting: streams.filter(({ blockedBy }) => blockedBy !== undefined).length,
    ...present({ deadLetters: view.deadLetters?.messages }),
    links: view.links.map(({ peer, up, roundTripMs, reason }) => ({ peer, up, ...present({ roundTripMs, reason }) })),
    connectors: view.connectors.map(({ name, from, to, duplex, state, reason }) => ({
      ...{ name, from, to, duplex, state },
      ...present({ reason }),
    })),
    flows: flowsOf(view, rates),
  };
}

function flowsOf({ cluster, connectors }: BridgeView, { forwarded, delivered, relayed }: FlowRates): Site['flows'] {
  const flows: Site['flows'] = [];
  for (const { name, peer } of connectors) {
    const [out, into] = [forwarded.get(name), delivered.get(name)];
    if (out !== undefined) flows.push({ from: cluster, to: peer, connector: name, perSecond: out });
    if (into !== undefined) flows.push({ from: peer, to: cluster, connector: name, perSecond: into });
  }
  for (const [to, perSecond] of relayed) flows.push({ from: cluster, to, perSecond });
  return flows;
}

/** Without what is undefined, as JSON has it. */
function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
