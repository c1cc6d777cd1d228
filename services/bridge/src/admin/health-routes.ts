import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import { routeSchema } from './route-schema.ts';
import { healthSchema, readinessSchema } from './schemas.ts';
import { readiness } from './status.ts';
import type { BridgeView } from './view.ts';

export interface HealthRouteOptions {
  readonly view: () => BridgeView;
  readonly metrics: Metrics;
  readonly redactor: Redactor;
}

/** What probes and Prometheus ask; never limited, whoever asks and however often. */
export function addHealthRoutes(server: FastifyInstance, { view, metrics, redactor }: HealthRouteOptions): void {
  const health = routeSchema({ tag: 'health', summary: 'The process lives.', answer: healthSchema });
  server.get('/healthz', { schema: health }, () => ({ status: 'ok' }));

  const ready = routeSchema({
    tag: 'health',
    summary: 'The broker is connected, and whether this bridge is master or standby is known.',
    answer: readinessSchema,
    otherwise: { 503: readinessSchema },
  });
  server.get('/readyz', { schema: ready }, (_request, reply) => {
    const state = redactor.deep(readiness(view()));
    return reply.code(state.ready ? 200 : 503).send(state);
  });

  const shown = routeSchema({ tag: 'health', summary: 'All metrics.' });
  server.get('/metrics', { schema: shown }, async (_request, reply) => {
    metrics.collect(view());
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
