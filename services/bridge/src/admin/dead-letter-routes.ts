import { Fault } from '@tombolo/kernel/fault';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import { guardOperation, refuse, refuseOnStandby } from './guard.ts';
import type { BridgeView, DeadLetterSelection } from './view.ts';

/** What can be done with dead letters. All reject with a Fault. */
export interface DeadLetterDesk {
  list(selection: DeadLetterSelection, page: number, pageSize: number): Promise<object>;
  replay(selection: DeadLetterSelection, dryRun: boolean): Promise<object>;
  drop(selection: DeadLetterSelection, dryRun: boolean): Promise<object>;
}

export interface DeadLetterRouteOptions {
  readonly view: () => BridgeView;
  readonly operations: { readonly deadLetters: DeadLetterDesk | undefined };
  readonly redactor: Redactor;
  readonly log: Log;
  readonly adminToken?: string | undefined;
}

type Listing = DeadLetterSelection & { readonly page: number; readonly pageSize: number };
type Operation = DeadLetterSelection & { readonly all: boolean; readonly dryRun: boolean };

const selection = {
  id: { type: 'string', minLength: 1 },
  destination: { type: 'string', minLength: 1 },
  peer: { type: 'string', minLength: 1 },
  reason: { type: 'string', minLength: 1 },
} as const;

const listing = {
  type: 'object',
  properties: {
    ...selection,
    page: { type: 'integer', minimum: 1, default: 1 },
    pageSize: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
  },
} as const;

const operation = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...selection,
    all: { type: 'boolean', default: false },
    dryRun: { type: 'boolean', default: false },
  },
} as const;

/** What could not be delivered: shown, given back to its queues, dropped. Only the master can, since only it may read queues. */
export function addDeadLetterRoutes(server: FastifyInstance, options: DeadLetterRouteOptions): void {
  const { view, operations, redactor, log } = options;

  /** The answer of the desk, or why there is none. */
  const at = async (reply: FastifyReply, act: (desk: DeadLetterDesk) => Promise<object>): Promise<object> => {
    const { role, roleReason } = redactor.deep(view());
    const desk = operations.deadLetters;
    if (role !== 'master' || !desk) return refuseOnStandby(reply, { roleReason });
    try {
      return redactor.deep(await act(desk));
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      return refuse(
        reply,
        thrown.code === 'TOMBOLO_QUEUE_REFUSED' ? 409 : 503,
        'unavailable',
        redactor.text(thrown.message),
      );
    }
  };

  server.get<{ Querystring: Listing }>(
    '/api/v1/dead-letters',
    { schema: { querystring: listing } },
    (request, reply) => {
      const { page, pageSize, ...selected } = request.query;
      return at(reply, (desk) => desk.list(selected, page, pageSize));
    },
  );

  for (const doing of ['replay', 'drop'] as const) {
    server.post<{ Body: Operation }>(
      `/api/v1/dead-letters/${doing}`,
      { schema: { body: operation }, preHandler: (request, reply) => guardOperation(options, request, reply) },
      (request, reply) => {
        const { all, dryRun, ...selected } = request.body;
        if (Object.keys(selected).length === 0 && !all) {
          const advice = 'give an id, a destination, a peer or a reason, or all: true';
          return refuse(reply, 400, 'nothing_selected', `Nothing is selected: ${advice}.`);
        }
        return at(reply, async (desk) => {
          const result = await desk[doing](selected, dryRun);
          if (!dryRun) log.info({ doing, selected, result, from: request.ip }, 'dead letters operated');
          return result;
        });
      },
    );
  }
}
