import { nearest } from '@tombolo/topology/problem';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import { guardOperation, refuseOnStandby } from './guard.ts';
import { operating } from './limits.ts';
import type { Operations } from './operations.ts';
import { refuse } from './problem.ts';
import { connectorParams, peerBody } from './requests.ts';
import { routeSchema } from './route-schema.ts';
import { cleanedUpSchema, operatedSchema } from './schemas.ts';
import type { BridgeView } from './view.ts';

export interface ConnectorRouteOptions {
  readonly view: () => BridgeView;
  readonly operations: Pick<Operations, 'pause' | 'resume' | 'cleanup'>;
  readonly redactor: Redactor;
  readonly log: Log;
  readonly adminToken?: string | undefined;
}

/** Pausing connectors, and deleting what was created for a peer. */
export function addConnectorRoutes(server: FastifyInstance, options: ConnectorRouteOptions): void {
  const { view, operations, redactor, log } = options;
  const preHandler = (request: FastifyRequest, reply: FastifyReply) => guardOperation(options, request, reply);

  const changes = [
    { operation: 'pause', summary: 'Takes no more messages for a connector, until the bridge restarts.' },
    { operation: 'resume', summary: 'Takes messages for a connector again.' },
  ] as const;
  for (const { operation, summary } of changes) {
    const schema = routeSchema({ tag: 'operations', summary, params: connectorParams, answer: operatedSchema });
    server.post<{ Params: { name: string } }>(
      `/api/v1/connectors/:name/${operation}`,
      { config: operating, schema, preHandler },
      async (request, reply) => {
        const { name } = request.params;
        const { cluster, connectors, ...rest } = redactor.deep(view());
        if (rest.role !== 'master') return refuseOnStandby(reply, rest);
        const names = connectors.map((connector) => connector.name);
        if (!names.includes(name)) {
          const near = nearest(name, names);
          const hint = near ? `did you mean "${near}"?` : `there are: ${names.join(', ') || 'none'}.`;
          return refuse(reply, 'unknown_connector', `No connector "${name}" at ${cluster}; ${hint}`);
        }
        await operations[operation](name);
        log.info({ connector: name, operation, from: request.ip }, 'connector operated');
        return { connector: name, state: view().connectors.find((connector) => connector.name === name)?.state };
      },
    );
  }

  const summary = 'Deletes what was created for a peer.';
  const schema = routeSchema({ tag: 'operations', summary, body: peerBody, answer: cleanedUpSchema });
  server.post<{ Body: { peer: string; dryRun: boolean } }>(
    '/api/v1/cleanup',
    { config: operating, schema, preHandler },
    async (request, reply) => {
      const { peer, dryRun } = request.body;
      const { links, ...rest } = redactor.deep(view());
      if (rest.role !== 'master') return refuseOnStandby(reply, rest);
      if (!dryRun && links.some((link) => link.peer === peer && link.up)) {
        const advice = 'stop its bridge, or take the connector out of the file, first';
        return refuse(reply, 'peer_linked', `${peer} is linked and may still draw from what would go; ${advice}.`);
      }
      const items = await operations.cleanup(peer, dryRun);
      if (!dryRun) log.info({ peer, items, from: request.ip }, 'cleaned up');
      return { items };
    },
  );
}
