import type { FastifyReply } from 'fastify';

interface Kind {
  readonly status: number;
  /** The same for every problem of this kind. */
  readonly title: string;
}

/** Every way in which a request can fail. The words are for programs, and fixed. */
export const problems = {
  bad_request: { status: 400, title: 'The request is not understood' },
  nothing_selected: { status: 400, title: 'Nothing is selected' },
  unauthorized: { status: 401, title: 'Operations need the admin token' },
  foreign_origin: { status: 403, title: 'Pages of other sites may not operate' },
  foreign_host: { status: 403, title: 'This name is not one of the bridge' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  unknown_connector: { status: 404, title: 'There is no such connector' },
  not_master: { status: 409, title: 'This bridge is a standby' },
  peer_linked: { status: 409, title: 'The peer is linked' },
  queue_refused: { status: 409, title: 'The queue cannot be read' },
  too_large: { status: 413, title: 'The request is too large' },
  media_type: { status: 415, title: 'The request is not JSON' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'The request failed' },
  unavailable: { status: 503, title: 'The broker cannot be asked' },
  unknown: { status: 503, title: 'What is left is not known' },
  not_drained: { status: 503, title: 'It is not drained' },
  not_resumed: { status: 503, title: 'The drain is not undone' },
} as const satisfies Record<string, Kind>;

export type ProblemName = keyof typeof problems;

/** A part of a request that is wrong. */
export interface Mistake {
  /** `body/scope`, `querystring/page`. */
  readonly at: string;
  readonly message: string;
}

/** What every request that fails is answered with: RFC 9457, `application/problem+json`. */
export interface Problem {
  /** `urn:tombolo:problem:` and the word in `error`. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** What happened, and what to do, as a sentence for people. */
  readonly detail: string;
  /** A word for programs. */
  readonly error: ProblemName;
  /** The same as `detail`. */
  readonly message: string;
  /** Of a standby: who is the master, as far as that is known. */
  readonly master?: string | undefined;
  /** Of a request that is not understood: every mistake in it. */
  readonly mistakes?: readonly Mistake[] | undefined;
}

export const problemType = 'application/problem+json';

/** Answers a request that fails. */
export function refuse(
  reply: FastifyReply,
  error: ProblemName,
  detail: string,
  more: Pick<Problem, 'master' | 'mistakes'> = {},
): FastifyReply {
  const { status, title } = problems[error];
  const problem: Problem = {
    type: `urn:tombolo:problem:${error}`,
    ...{ title, status, detail, error, message: detail, ...more },
  };
  return reply.code(status).type(problemType).send(problem);
}
