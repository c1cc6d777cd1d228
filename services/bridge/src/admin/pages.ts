import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import files from '@fastify/static';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { addHealthRoutes } from './health-routes.ts';
import { type AdminOptions, addRoutes } from './routes.ts';

/**
 * Adds what is made for browsers: the console, and the documentation of the API. Loaded when somebody first opens one: it takes
 * a moment and megabytes, and most bridges are never looked at so.
 */
export async function addPages(server: FastifyInstance, options: AdminOptions): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tombolo: the admin API of one bridge',
        description:
          'Reads need no token. Operations need one where bridge.adminToken is set, and answer 409 on a standby, with the ' +
          'master’s name. What fails is answered as problem details (RFC 9457).',
        version: options.view().version,
      },
      tags: [
        { name: 'health', description: 'For probes and Prometheus; also at bridge.metrics.listen.' },
        { name: 'state', description: 'What there is, what moves, and why it does not.' },
        { name: 'operations', description: 'What changes something.' },
      ],
      components: {
        securitySchemes: { adminToken: { type: 'http', scheme: 'bearer', description: 'bridge.adminToken' } },
      },
    },
  });
  // They are here to be described; requests for them never come here.
  addHealthRoutes(server, options);
  addRoutes(server, options);
  await server.register(swaggerUi, {
    routePrefix: '/documentation',
    // Nothing is asked of other sites, and no token is kept.
    uiConfig: { docExpansion: 'list', deepLinking: true, validatorUrl: null, persistAuthorization: false },
  });
  const require = createRequire(import.meta.url);
  const page = join(dirname(require.resolve('@tombolo/console/package.json')), 'page');
  const dagre = dirname(createRequire(join(page, 'console.js')).resolve('@dagrejs/dagre'));
  await server.register(files, { root: page, wildcard: false, cacheControl: false });
  server.get('/dagre.js', { schema: { hide: true } }, (_request, reply) => reply.sendFile('dagre.esm.js', dagre));
}
