import { compileWildcard, type Matcher } from '@tombolo/topology/pattern';
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import type { Trace } from './conclusion.ts';
import { costly } from './limits.ts';
import { brokersOf, brokersSchema, networkOf, networkSchema, type Survey } from './network.ts';
import { detailedQuery, tableQuery, traceQuery } from './requests.ts';
import { routeSchema } from './route-schema.ts';
import { demandPageSchema, statusSchema, streamPageSchema, traceSchema } from './schemas.ts';
import { pageOf, statusOf, type TableQuery } from './status.ts';
import type { BridgeView } from './view.ts';

export interface StateRouteOptions {
  readonly view: () => BridgeView;
  readonly trace: (destination: string) => Promise<Trace>;
  readonly survey: () => Promise<Survey>;
  readonly metrics: Metrics;
  readonly redactor: Redactor;
}

/** What the bridge shows of itself, and of the network. */
export function addStateRoutes(server: FastifyInstance, options: StateRouteOptions): void {
  const { view, redactor, metrics, trace, survey } = options;

  const status = routeSchema({
    tag: 'state',
    summary: 'Cluster, role, broker, links, connectors.',
    answer: statusSchema,
  });
  server.get('/api/v1/status', { schema: status }, () => redactor.deep(statusOf(view())));

  const network = routeSchema({
    tag: 'state',
    summary: 'The network as this bridge and those that it can reach see it, with live rates.',
    answer: networkSchema,
  });
  server.get('/api/v1/network', { schema: network }, async () => redactor.deep(networkOf(await survey())));

  const brokers = routeSchema({
    tag: 'state',
    summary: 'Where the brokers of each cluster are, without credentials: a client’s failover list.',
    answer: brokersSchema,
  });
  server.get('/api/v1/brokers', { schema: brokers }, async () => redactor.deep(brokersOf(await survey())));

  const demand = { summary: 'Who consumes what, and whether it is served.', querystring: tableQuery };
  server.get<{ Querystring: TableQuery }>(
    '/api/v1/demand',
    { schema: routeSchema({ tag: 'state', ...demand, answer: demandPageSchema }) },
    (request) => redactor.deep(pageOf(view().demand, request.query)),
  );

  const streams = { summary: 'What flows, and why it does not.', querystring: tableQuery };
  server.get<{ Querystring: TableQuery }>(
    '/api/v1/streams',
    { schema: routeSchema({ tag: 'state', ...streams, answer: streamPageSchema }) },
    (request) => redactor.deep(pageOf(view().streams, request.query)),
  );

  const traced = {
    summary: 'Why the messages of a queue move or do not: every bridge that can be reached is asked.',
    querystring: traceQuery,
  };
  server.get<{ Querystring: { destination: string } }>(
    '/api/v1/trace',
    { config: costly, schema: routeSchema({ tag: 'state', ...traced, answer: traceSchema }) },
    async (request) => redactor.deep(await trace(request.query.destination)),
  );

  const detailed = {
    summary: 'All labels of the destinations asked for, whether or not they have one elsewhere.',
    querystring: detailedQuery,
  };
  server.get<{ Querystring: { destination: string[] } }>(
    '/metrics/detailed',
    { schema: routeSchema({ tag: 'state', ...detailed }) },
    async (request, reply) => {
      const wanted: Matcher[] = request.query.destination.map(compileWildcard);
      metrics.collect(view());
      const text = await metrics.detailed((destination) => wanted.some((matches) => matches(destination)));
      return reply.type(metrics.contentType).send(text);
    },
  );
}
