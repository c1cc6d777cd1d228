import { TestAuthority } from '@tombolo/testing/certificates';
import { freePorts } from '@tombolo/testing/free-port';
import { rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import type { TestProject } from 'vitest/node';

/** Where a node listens; its credentials are guest's. */
export interface NodeAddress {
  readonly amqpPort: number;
  readonly managementPort: number;
}

/** The node shows a certificate for `broker.test` and 127.0.0.1, and wants one of a client of AMQP. Paths are of PEM files. */
export interface SecureAddress {
  readonly amqpsPort: number;
  readonly httpsPort: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The RabbitMQ nodes of this run; empty when this machine has no RabbitMQ. */
    nodes: NodeAddress[];
    /** The first node's other addresses, over TLS; undefined when there is no node. */
    secureNode: SecureAddress | undefined;
  }
}

/** Starts the nodes that all files of one run share, and stops them after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (rabbitMissing()) {
    project.provide('nodes', []);
    project.provide('secureNode', undefined);
    return async () => {};
  }
  // The second takes no message above 32 MiB: there is something that only a sink refuses.
  const authority = new TestAuthority();
  const [amqpsPort, httpsPort] = (await freePorts(2)) as [number, number];
  const secure = secureListeners(authority, amqpsPort, httpsPort);
  const started = await Promise.all([
    startRabbit({ config: secure }),
    startRabbit({ config: ['max_message_size = 33554432'] }),
  ]);
  project.provide(
    'nodes',
    started.map(({ amqpPort, managementPort }) => ({ amqpPort, managementPort })),
  );
  const { certFile: cert, keyFile: key } = authority.issue(['DNS:a-bridge']);
  project.provide('secureNode', { amqpsPort, httpsPort, ca: authority.caFile, cert, key });
  return async () => {
    await Promise.all(started.map((node) => node.stop()));
    authority.close();
  };
}

/** Lines of rabbitmq.conf for AMQP over TLS, where clients have to show a certificate, and for the management API over TLS. */
function secureListeners(authority: TestAuthority, amqpsPort: number, httpsPort: number): string[] {
  const { certFile, keyFile } = authority.issue(['DNS:broker.test', 'IP:127.0.0.1']);
  const files = (section: string) => [
    `${section}.cacertfile = ${authority.caFile}`,
    `${section}.certfile = ${certFile}`,
    `${section}.keyfile = ${keyFile}`,
  ];
  return [
    `listeners.ssl.1 = 127.0.0.1:${amqpsPort}`,
    ...files('ssl_options'),
    'ssl_options.verify = verify_peer',
    'ssl_options.fail_if_no_peer_cert = true',
    'management.ssl.ip = 127.0.0.1',
    `management.ssl.port = ${httpsPort}`,
    ...files('management.ssl'),
  ];
}
