import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { TestAuthority } from '@tombolo/testing/certificates';
import { freePorts } from '@tombolo/testing/free-port';
import { rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import type { TestProject } from 'vitest/node';

/** Where a node listens; its credentials are guest's. */
export interface NodeAddress {
  readonly amqpPort: number;
  readonly managementPort: number;
}

/** Where an ActiveMQ listens; it asks nobody who he is. */
export interface ActiveMqAddress {
  readonly stompPort: number;
}

/** The first ActiveMQ's address over TLS. It shows a certificate for `broker.test`, and wants one of a client. Paths are of PEM files. */
export interface SecureActiveMq {
  readonly stompsPort: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
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
    /** The nodes of ActiveMQ of this run, which tell statistics; empty when this machine has none. */
    activeMqNodes: ActiveMqAddress[];
    secureActiveMq: SecureActiveMq | undefined;
  }
}

/** Starts the nodes that all files of one run share, and stops them after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const authority = new TestAuthority();
  const stops = await Promise.all([setUpRabbits(project, authority), setUpActiveMqs(project, authority)]);
  return async () => {
    await Promise.all(stops.map((stop) => stop()));
    authority.close();
  };
}

async function setUpRabbits(project: TestProject, authority: TestAuthority): Promise<() => Promise<unknown>> {
  if (rabbitMissing()) {
    project.provide('nodes', []);
    project.provide('secureNode', undefined);
    return async () => {};
  }
  // The second takes no message above 32 MiB: there is something that only a sink refuses.
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
  return () => Promise.all(started.map((node) => node.stop()));
}

async function setUpActiveMqs(project: TestProject, authority: TestAuthority): Promise<() => Promise<unknown>> {
  if (activemqMissing()) {
    project.provide('activeMqNodes', []);
    project.provide('secureActiveMq', undefined);
    return async () => {};
  }
  const elements = { plugins: '<statisticsBrokerPlugin/>' };
  const tls = { ...authority.issue(['DNS:broker.test']), caFile: authority.caFile };
  const started = await Promise.all([ActiveMqNode.start({ elements, tls }), ActiveMqNode.start({ elements })]);
  project.provide(
    'activeMqNodes',
    started.map(({ stompPort }) => ({ stompPort })),
  );
  const { certFile: cert, keyFile: key } = authority.issue(['DNS:a-bridge']);
  project.provide('secureActiveMq', { stompsPort: started[0].stompsPort, ca: authority.caFile, cert, key });
  return () => Promise.all(started.map((node) => node.stop()));
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
