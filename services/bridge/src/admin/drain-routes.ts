import { messageOf } from '@tombolo/kernel/fault';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Redactor } from '../telemetry/redactor.ts';
import { guardOperation, refuseOnStandby } from './guard.ts';
import { costly, operating } from './limits.ts';
import type { DrainScope, Operations } from './operations.ts';
import { refuse } from './problem.ts';
import { peerBody, scopeBody } from './requests.ts';
import { routeSchema } from './route-schema.ts';
import { drainCheckSchema, drainedSchema, releasedSchema, undrainedSchema } from './schemas.ts';
import type { BridgeView } from './view.ts';

export interface DrainRoutesOptions {
  readonly view: () => BridgeView;
  readonly operations: Pick<Operations, 'drain' | 'undrain' | 'checkDrain' | 'release'>;
  readonly redactor: Redactor;
  readonly log: { info(facts: object, message: string): void };
  readonly adminToken?: string | undefined;
}

/** Draining, its undoing, the question whether anything is left, and giving back what is held for a peer that is gone. */
export function addDrainRoutes(server: FastifyInstance, options: DrainRoutesOptions): void {
  const { log, operations, redactor, view } = options;
  const guarded = (summary: string, body: z.ZodType, answer: z.ZodType) => ({
    config: operating,
    schema: routeSchema({ tag: 'operations', summary, body, answer }),
    preHandler: (request: FastifyRequest, reply: FastifyReply) => guardOperation(options, request, reply),
  });

  const summary = 'Is it safe to switch this site off: what would be lost.';
  const checked = { config: costly, schema: routeSchema({ tag: 'state', summary, answer: drainCheckSchema }) };
  server.get('/api/v1/drain', checked, async (_request, reply) => {
    const { role, ...rest } = redactor.deep(view());
    if (role !== 'master') return refuseOnStandby(reply, rest);
    try {
      return redactor.deep(await operations.checkDrain());
    } catch (thrown) {
      return refuse(reply, 'unknown', `What is left is not known: ${redactor.text(messageOf(thrown))}`);
    }
  });

  const drain = guarded('Drains this process, or the cluster until that is undone.', scopeBody, drainedSchema);
  server.post<{ Body: { scope: DrainScope } }>('/api/v1/drain', drain, async (request, reply) => {
    const { scope } = request.body;
    const { role, ...rest } = redactor.deep(view());
    // A standby may be kept from taking over, but knows nothing of the cluster.
    if (scope === 'cluster' && role !== 'master') return refuseOnStandby(reply, rest);
    try {
      const left = await operations.drain(scope);
      log.info({ scope, left, from: request.ip }, 'drained');
      return redactor.deep({ scope, left, drains: view().drains });
    } catch (thrown) {
      return refuse(reply, 'not_drained', redactor.text(messageOf(thrown)));
    }
  });

  const resume = guarded('Undoes a drain.', scopeBody, undrainedSchema);
  server.post<{ Body: { scope: DrainScope } }>('/api/v1/resume', resume, async (request, reply) => {
    const { scope } = request.body;
    const { role, ...rest } = redactor.deep(view());
    if (scope === 'cluster' && role !== 'master') return refuseOnStandby(reply, rest);
    try {
      await operations.undrain(scope);
      log.info({ scope, from: request.ip }, 'drain undone');
      return redactor.deep({ scope, drains: view().drains });
    } catch (thrown) {
      return refuse(reply, 'not_resumed', redactor.text(messageOf(thrown)));
    }
  });

  server.post<{ Body: { peer: string; dryRun: boolean } }>(
    '/api/v1/release',
    guarded('Gives back what is held for a peer that will not return.', peerBody, releasedSchema),
    async (request, reply) => {
      const { peer, dryRun } = request.body;
      const { role, ...rest } = redactor.deep(view());
      if (role !== 'master') return refuseOnStandby(reply, rest);
      const items = operations.release(peer, dryRun);
      if (items === 'reachable') {
        const advice = 'what is under way to it is settled by itself; stop its bridge first if it is not to return';
        return refuse(reply, 'peer_linked', `${peer} is linked: ${advice}.`);
      }
      if (!dryRun) log.info({ peer, items, from: request.ip }, 'released');
      return { items };
    },
  );
}
