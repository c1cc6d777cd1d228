import type { FastifyInstance } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import type { Trace } from './conclusion.ts';
import { addConnectorRoutes } from './connector-routes.ts';
import { addDeadLetterRoutes } from './dead-letter-routes.ts';
import { addDrainRoutes } from './drain-routes.ts';
import type { Survey } from './network.ts';
import type { Operations } from './operations.ts';
import { addStateRoutes } from './state-routes.ts';
import type { BridgeView } from './view.ts';

export interface AdminOptions {
  readonly view: () => BridgeView;
  readonly trace: (destination: string) => Promise<Trace>;
  readonly survey: () => Promise<Survey>;
  readonly metrics: Metrics;
  readonly operations: Operations;
  readonly redactor: Redactor;
  readonly log: Log;
  /** Operations need it as a bearer token; without one, whoever reaches the address may operate. */
  readonly adminToken?: string | undefined;
}

/** The API: what there is, and what can be done. */
export function addRoutes(server: FastifyInstance, options: AdminOptions): void {
  addStateRoutes(server, options);
  addConnectorRoutes(server, options);
  addDeadLetterRoutes(server, options);
  addDrainRoutes(server, options);
}
