import rateLimit from '@fastify/rate-limit';
import type { Address } from '@tombolo/topology/units';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { listenOn } from './address.ts';
import { guardHost } from './guard.ts';
import { addHealthRoutes } from './health-routes.ts';
import { perSecond } from './limits.ts';
import { mistakesOf } from './mistakes.ts';
import { refuse } from './problem.ts';
import { type AdminOptions, addRoutes } from './routes.ts';
import { addSecurityHeaders } from './security.ts';

/** The API of one bridge, its documentation and the console. It does not listen yet. */
export function createAdminServer(options: AdminOptions): FastifyInstance {
  const server = bareServer(options);
  server.register(async (free) => addHealthRoutes(free, options));
  server.register(async (limited) => {
    await limited.register(rateLimit, { max: perSecond, timeWindow: 1_000 });
    if (options.adminToken === undefined) limited.addHook('onRequest', guardHost);
    limited.addHook('onRequest', async (request, reply) => {
      if (request.url.startsWith('/api/')) reply.header('cache-control', 'no-store');
    });
    addRoutes(limited, options);
    servePages(limited, options);
  });
  return server;
}

/** Whatever else is asked for is a page, or nothing: a server of its own knows, which is made when the first one is asked for. */
function servePages(server: FastifyInstance, options: AdminOptions): void {
  let made: Promise<FastifyInstance> | undefined;
  const make = async (): Promise<FastifyInstance> => {
    const { addPages } = await import('./pages.ts');
    const pages = bareServer(options);
    await addPages(pages, options);
    await pages.ready();
    return pages;
  };
  server.get('/*', async (request, reply) => {
    made ??= make();
    const pages = await made;
    reply.hijack();
    pages.routing(request.raw, reply.raw);
  });
  server.addHook('onClose', async () => (await made)?.close());
}

/** Health and metrics alone: nothing that operates, no topology; for addresses that more can reach. */
export function createMetricsServer(options: AdminOptions): FastifyInstance {
  const server = bareServer(options);
  server.register(async (free) => addHealthRoutes(free, options));
  return server;
}

/** A server that refuses what it does not know, in the one form in which everything is refused. */
function bareServer({ redactor, log }: AdminOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    forceCloseConnections: true,
    return503OnClosing: false,
    bodyLimit: 64 * 1024,
    // A slip in a name is said, not overlooked; `verbose` tells what the names are.
    ajv: { customOptions: { removeAdditional: false, allErrors: true, verbose: true } },
  });
  // Answers are documented by schemas, not cut to them.
  server.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  server.setNotFoundHandler((request, reply) =>
    refuse(reply, 'not_found', `There is nothing at ${request.method} ${request.url.split('?')[0]}.`),
  );
  server.setErrorHandler((error: FastifyError, _request, reply) => {
    const { statusCode = 500, validation, validationContext = 'request' } = error;
    if (statusCode >= 500) {
      log.error({ err: error }, 'request failed');
      return refuse(reply, 'internal', 'The request failed; the log says why.');
    }
    const text = redactor.text(error.message);
    if (validation) {
      const mistakes = redactor.deep(mistakesOf(validation as Parameters<typeof mistakesOf>[0], validationContext));
      const detail = `${mistakes.map(({ at, message }) => `${at}: ${message}`).join('; ')}.`;
      return refuse(reply, 'bad_request', detail, { mistakes });
    }
    if (statusCode === 429) return refuse(reply, 'too_many_requests', `${text}; retry-after says when.`);
    if (statusCode === 413) return refuse(reply, 'too_large', text);
    if (statusCode === 415) return refuse(reply, 'media_type', `${text}; send application/json.`);
    return refuse(reply, 'bad_request', text);
  });
  addSecurityHeaders(server);
  return server;
}

/**
 * Listens; a fault names the address and what to do when it cannot.
 * @param what the setting that the address comes from
 * @returns the URL, with the port that was assigned when 0 was asked for
 */
export async function listen(server: FastifyInstance, address: Address, what: string): Promise<string> {
  return listenOn(address, what, ({ host, port }) => server.listen({ host, port }));
}
