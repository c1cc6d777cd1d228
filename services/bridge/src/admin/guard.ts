import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BridgeView } from './view.ts';

/** Lets an operation through whose caller may operate; otherwise answers why not. */
export async function guardOperation(
  { adminToken }: { readonly adminToken?: string | undefined },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const { origin, host, authorization } = request.headers;
  // A page of another site, open in an operator's browser, can send a POST to 127.0.0.1; it cannot hide its origin.
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host)) {
    return refuse(reply, 403, 'foreign_origin', 'Operations are not accepted from pages of other sites.');
  }
  if (adminToken === undefined) return undefined;
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (given !== undefined && sameSecret(given, adminToken)) return undefined;
  reply.header('www-authenticate', 'Bearer');
  const what = given === undefined ? 'Operations need the admin token' : 'That is not the admin token';
  return refuse(reply, 401, 'unauthorized', `${what} (bridge.adminToken); send it as a bearer token.`);
}

/** Only the master knows what is asked here. */
export function refuseOnStandby(reply: FastifyReply, { roleReason }: Pick<BridgeView, 'roleReason'>): FastifyReply {
  const reason = roleReason ?? 'another bridge of the cluster is master';
  return refuse(reply, 409, 'not_master', `This bridge is a standby: ${reason}. Ask the master.`);
}

/** Compares digests, so that neither length nor content shows in how long it takes. */
function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** An error as every route answers it: a word for programs, a sentence for people. */
export function refuse(reply: FastifyReply, status: number, error: string, message: string): FastifyReply {
  return reply.code(status).send({ error, message });
}
