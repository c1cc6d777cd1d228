import { messageOf } from '@tombolo/kernel/fault';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Redactor } from '../telemetry/redactor.ts';
import { guardOperation, refuse, refuseOnStandby } from './guard.ts';
import type { DrainScope, Operations } from './operations.ts';
import type { BridgeView } from './view.ts';

export interface DrainRoutesOptions {
  readonly view: () => BridgeView;
  readonly operations: Pick<Operations, 'drain' | 'undrain' | 'checkDrain' | 'release'>;
  readonly redactor: Redactor;
  readonly log: { info(facts: object, message: string): void };
  readonly adminToken?: string | undefined;
}

const scopeBody = {
  type: 'object',
  required: ['scope'],
  additionalProperties: false,
  properties: { scope: { type: 'string', enum: ['process', 'cluster'] } },
} as const;

const releaseBody = {
  type: 'object',
  required: ['peer'],
  additionalProperties: false,
  properties: { peer: { type: 'string', minLength: 1 }, dryRun: { type: 'boolean', default: false } },
} as const;

/** Draining, its undoing, the question whether anything is left, and giving back what is held for a peer that is gone. */
export function drainRoutes(server: FastifyInstance, options: DrainRoutesOptions): void {
  const { log, operations, redactor, view } = options;
  const guarded = (body: object) => ({
    schema: { body },
    preHandler: (request: FastifyRequest, reply: FastifyReply) => guardOperation(options, request, reply),
  });

  server.get('/api/v1/drain', async (_request, reply) => {
    const { role, ...rest } = redactor.deep(view());
    if (role !== 'master') return refuseOnStandby(reply, rest);
    try {
      return redactor.deep(await operations.checkDrain());
    } catch (thrown) {
      return refuse(reply, 503, 'unknown', `What is left is not known: ${redactor.text(messageOf(thrown))}`);
    }
  });

  server.post<{ Body: { scope: DrainScope } }>('/api/v1/drain', guarded(scopeBody), async (request, reply) => {
    const { scope } = request.body;
    const { role, ...rest } = redactor.deep(view());
    // A standby may be kept from taking over, but knows nothing of the cluster.
    if (scope === 'cluster' && role !== 'master') return refuseOnStandby(reply, rest);
    try {
      const left = await operations.drain(scope);
      log.info({ scope, left, from: request.ip }, 'drained');
      return redactor.deep({ scope, left, drains: view().drains });
    } catch (thrown) {
      return refuse(reply, 503, 'not_drained', redactor.text(messageOf(thrown)));
    }
  });

  server.post<{ Body: { scope: DrainScope } }>('/api/v1/resume', guarded(scopeBody), async (request, reply) => {
    const { scope } = request.body;
    const { role, ...rest } = redactor.deep(view());
    if (scope === 'cluster' && role !== 'master') return refuseOnStandby(reply, rest);
    try {
      await operations.undrain(scope);
      log.info({ scope, from: request.ip }, 'drain undone');
      return redactor.deep({ scope, drains: view().drains });
    } catch (thrown) {
      return refuse(reply, 503, 'not_resumed', redactor.text(messageOf(thrown)));
    }
  });

  server.post<{ Body: { peer: string; dryRun: boolean } }>(
    '/api/v1/release',
    guarded(releaseBody),
    async (request, reply) => {
      const { peer, dryRun } = request.body;
      const { role, ...rest } = redactor.deep(view());
      if (role !== 'master') return refuseOnStandby(reply, rest);
      const items = operations.release(peer, dryRun);
      if (items === 'reachable') {
        const advice = 'what is under way to it is settled by itself; stop its bridge first if it is not to return';
        return refuse(reply, 409, 'peer_linked', `${peer} is linked: ${advice}.`);
      }
      if (!dryRun) log.info({ peer, items, from: request.ip }, 'released');
      return { items };
    },
  );
}
