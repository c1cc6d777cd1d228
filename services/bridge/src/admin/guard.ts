import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { refuse } from './problem.ts';
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
    return refuse(reply, 'foreign_origin', 'Operations are not accepted from pages of other sites.');
  }
  if (adminToken === undefined) return undefined;
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (given !== undefined && sameSecret(given, adminToken)) return undefined;
  reply.header('www-authenticate', 'Bearer');
  const what = given === undefined ? 'Operations need the admin token' : 'That is not the admin token';
  return refuse(reply, 'unauthorized', `${what} (bridge.adminToken); send it as a bearer token.`);
}

/**
 * Without a token the address is on loopback, and so has no name but localhost. Whoever comes by another name is a page whose own
 * name was made to point here (DNS rebinding), which would pass for a page of this very site.
 */
export async function guardHost(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const name = request.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(name) > 0 || name === 'localhost' || name.endsWith('.localhost')) return undefined;
  const advice = 'use 127.0.0.1 or localhost, or set bridge.adminToken';
  return refuse(reply, 'foreign_host', `Without a token this address answers to no other name; ${advice}.`);
}

/** Only the master knows what is asked here. */
export function refuseOnStandby(
  reply: FastifyReply,
  { roleReason, election }: Pick<BridgeView, 'roleReason' | 'election'>,
): FastifyReply {
  const reason = roleReason ?? 'another bridge of the cluster is master';
  return refuse(reply, 'not_master', `This bridge is a standby: ${reason}. Ask the master.`, {
    master: election.holder,
  });
}

/** Compares digests, so that neither length nor content shows in how long it takes. */
function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
