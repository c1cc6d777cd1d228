import { Fault } from '@tombolo/kernel/fault';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Log } from '../telemetry/log.ts';
import type { Redactor } from '../telemetry/redactor.ts';
import { guardOperation, refuseOnStandby } from './guard.ts';
import { costly, operating } from './limits.ts';
import { refuse } from './problem.ts';
import { parkedBody, parkedQuery } from './requests.ts';
import { routeSchema } from './route-schema.ts';
import { dropSchema, parkedPageSchema, replaySchema } from './schemas.ts';
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

/** What could not be delivered: shown, given back to its queues, dropped. Only the master can, since only it may read queues. */
export function addDeadLetterRoutes(server: FastifyInstance, options: DeadLetterRouteOptions): void {
  const { view, operations, redactor, log } = options;

  /** The answer of the desk, or why there is none. */
  const at = async (reply: FastifyReply, act: (desk: DeadLetterDesk) => Promise<object>): Promise<object> => {
    const { role, ...rest } = redactor.deep(view());
    const desk = operations.deadLetters;
    if (role !== 'master' || !desk) return refuseOnStandby(reply, rest);
    try {
      return redactor.deep(await act(desk));
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      const why = redactor.text(thrown.message);
      return refuse(reply, thrown.code === 'TOMBOLO_QUEUE_REFUSED' ? 'queue_refused' : 'unavailable', why);
    }
  };

  server.get<{ Querystring: Listing }>(
    '/api/v1/dead-letters',
    {
      config: costly,
      schema: routeSchema({
        tag: 'state',
        summary: 'What could not be delivered, by pages; it stays as it is.',
        querystring: parkedQuery,
        answer: parkedPageSchema,
      }),
    },
    (request, reply) => {
      const { page, pageSize, ...selected } = request.query;
      return at(reply, (desk) => desk.list(selected, page, pageSize));
    },
  );

  const changes = [
    {
      doing: 'replay',
      summary: 'Gives dead letters back to the queues that they were taken from.',
      answer: replaySchema,
    },
    { doing: 'drop', summary: 'Deletes dead letters for good.', answer: dropSchema },
  ] as const;
  for (const { doing, summary, answer } of changes) {
    server.post<{ Body: Operation }>(
      `/api/v1/dead-letters/${doing}`,
      {
        config: operating,
        schema: routeSchema({ tag: 'operations', summary, body: parkedBody, answer }),
        preHandler: (request, reply) => guardOperation(options, request, reply),
      },
      (request, reply) => {
        const { all, dryRun, ...selected } = request.body;
        if (Object.keys(selected).length === 0 && !all) {
          const advice = 'give an id, a destination, a peer or a reason, or all: true';
          return refuse(reply, 'nothing_selected', `Nothing is selected: ${advice}.`);
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
