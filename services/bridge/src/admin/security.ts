import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** What browsers are told of every answer. The console needs nothing but its own files and this API. */
export function addSecurityHeaders(server: FastifyInstance): void {
  server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        fontSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    // The address speaks plain HTTP: behind a proxy with TLS it is the proxy that says these.
    strictTransportSecurity: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
  });
}
