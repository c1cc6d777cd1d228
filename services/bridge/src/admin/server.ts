import { compileWildcard, type Matcher } from '@tombolo/topology/pattern';
import { nearest } from '@tombolo/topology/problem';
import type { Address } from '@tombolo/topology/units';
import fastify, { type FastifyInstance } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import { listenOn } from './address.ts';
import type { Trace } from './conclusion.ts';
import { addDeadLetterRoutes } from './dead-letter-routes.ts';
import { drainRoutes } from './drain-routes.ts';
import { guardOperation, refuse, refuseOnStandby } from './guard.ts';
import type { Operations } from './operations.ts';
import { pageOf, readiness, statusOf } from './status.ts';
import type { BridgeView } from './view.ts';

export interface AdminOptions {
  readonly view: () => BridgeView;
  readonly trace: (destination: string) => Promise<Trace>;
  readonly metrics: Metrics;
  readonly operations: Operations;
  readonly redactor: Redactor;
  readonly log: Log;
  /** Operations need it as a bearer token; without one, whoever reaches the address may operate. */
  readonly adminToken?: string | undefined;
}

interface TableQuery {
  readonly page: number;
  readonly pageSize: number;
  readonly destination?: string;
}

const tableQuery = {
  type: 'object',
  properties: {
    page: { type: 'integer', minimum: 1, default: 1 },
    pageSize: { type: 'integer', minimum: 1, maximum: 10_000, default: 100 },
    destination: { type: 'string' },
  },
} as const;

const traceQuery = {
  type: 'object',
  required: ['destination'],
  properties: { destination: { type: 'string', minLength: 1, maxLength: 255 } },
} as const;

const detailedQuery = {
  type: 'object',
  required: ['destination'],
  properties: { destination: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 } },
} as const;

const cleanupBody = {
  type: 'object',
  required: ['peer'],
  additionalProperties: false,
  properties: { peer: { type: 'string', minLength: 1 }, dryRun: { type: 'boolean', default: false } },
} as const;

/** The API of one bridge: health, metrics, tables and operations. It does not listen yet. */
export function createAdminServer(options: AdminOptions): FastifyInstance {
  const server = createMetricsServer(options);
  const { view, redactor } = options;

  server.get('/api/v1/status', () => redactor.deep(statusOf(view())));
  server.get<{ Querystring: TableQuery }>('/api/v1/demand', { schema: { querystring: tableQuery } }, (request) =>
    redactor.deep(pageOf(view().demand, request.query)),
  );
  server.get<{ Querystring: TableQuery }>('/api/v1/streams', { schema: { querystring: tableQuery } }, (request) =>
    redactor.deep(pageOf(view().streams, request.query)),
  );

  server.get<{ Querystring: { destination: string } }>(
    '/api/v1/trace',
    { schema: { querystring: traceQuery } },
    async (request) => redactor.deep(await options.trace(request.query.destination)),
  );

  server.get<{ Querystring: { destination: string[] } }>(
    '/metrics/detailed',
    { schema: { querystring: detailedQuery } },
    async (request, reply) => {
      const wanted: Matcher[] = request.query.destination.map(compileWildcard);
      options.metrics.collect(options.view());
      const text = await options.metrics.detailed((destination) => wanted.some((matches) => matches(destination)));
      return reply.type(options.metrics.contentType).send(text);
    },
  );

  for (const operation of ['pause', 'resume'] as const) {
    server.post<{ Params: { name: string } }>(
      `/api/v1/connectors/:name/${operation}`,
      { preHandler: (request, reply) => guardOperation(options, request, reply) },
      async (request, reply) => {
        const { name } = request.params;
        const { cluster, connectors, ...rest } = redactor.deep(view());
        if (rest.role !== 'master') return refuseOnStandby(reply, rest);
        const names = connectors.map((connector) => connector.name);
        if (!names.includes(name)) {
          const near = nearest(name, names);
          const hint = near ? `did you mean "${near}"?` : `there are: ${names.join(', ') || 'none'}.`;
          return refuse(reply, 404, 'unknown_connector', `No connector "${name}" at ${cluster}; ${hint}`);
        }
        await options.operations[operation](name);
        options.log.info({ connector: name, operation, from: request.ip }, 'connector operated');
        return { connector: name, state: view().connectors.find((connector) => connector.name === name)?.state };
      },
    );
  }
  server.post<{ Body: { peer: string; dryRun: boolean } }>(
    '/api/v1/cleanup',
    { schema: { body: cleanupBody }, preHandler: (request, reply) => guardOperation(options, request, reply) },
    async (request, reply) => {
      const { peer, dryRun } = request.body;
      const { links, ...rest } = redactor.deep(view());
      if (rest.role !== 'master') return refuseOnStandby(reply, rest);
      if (!dryRun && links.some((link) => link.peer === peer && link.up)) {
        const advice = 'stop its bridge, or take the connector out of the file, first';
        return refuse(reply, 409, 'peer_linked', `${peer} is linked and may still draw from what would go; ${advice}.`);
      }
      const items = await options.operations.cleanup(peer, dryRun);
      if (!dryRun) options.log.info({ peer, items, from: request.ip }, 'cleaned up');
      return { items };
    },
  );
  addDeadLetterRoutes(server, options);
  drainRoutes(server, options);
  return server;
}

/** Health and metrics alone: nothing that operates, no topology; for addresses that more can reach. */
export function createMetricsServer({ view, metrics, redactor, log }: AdminOptions): FastifyInstance {
  const server = fastify({ logger: false, forceCloseConnections: true, return503OnClosing: false });
  server.setNotFoundHandler((request, reply) =>
    refuse(reply, 404, 'not_found', `There is nothing at ${request.method} ${request.url.split('?')[0]}.`),
  );
  server.setErrorHandler((thrown, _request, reply) => {
    const error = thrown as { statusCode?: number; message?: string };
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: thrown }, 'request failed');
    const message = status >= 500 ? 'The request failed; the log says why.' : redactor.text(error.message ?? '');
    return refuse(reply, status, status >= 500 ? 'internal' : 'bad_request', message);
  });

  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const state = redactor.deep(readiness(view()));
    return reply.code(state.ready ? 200 : 503).send(state);
  });
  server.get('/metrics', async (_request, reply) => {
    metrics.collect(view());
    return reply.type(metrics.contentType).send(await metrics.text());
  });
  return server;
}

/**
 * Listens; a fault names the address and what to do when it cannot.
 * @param what the setting that the address comes from
 * @returns the URL, with the port that was assigned when 0 was asked for
 */
export async function listen(server: FastifyInstance, address: Address, what: string): Promise<string> {
  return listenOn(address, what, ({ host, port }) => server.listen({ host, port }));
}
