import type { BrokerTlsSource } from '../broker-tls.ts';

/** One address of the cluster; several are tried in order. */
export interface RabbitUri {
  readonly host: string;
  readonly port: number;
  readonly vhost: string;
  readonly tls: boolean;
}

/** The management API: `uris` are tried in order, e.g. `http://east-0.rabbit:15672`. */
export interface ManagementConfig {
  readonly uris: readonly string[];
  readonly username: string;
  readonly password: string;
  readonly tls?: BrokerTlsSource;
}

export interface RabbitBrokerConfig {
  /** The cluster's name in the topology: part of consumer tags and connection names. */
  readonly cluster: string;
  /** Names this bridge among those beside the cluster: part of its event queue's name. */
  readonly instance: string;
  readonly uris: readonly RabbitUri[];
  readonly username: string;
  readonly password: string;
  readonly tls?: BrokerTlsSource;
  /** When given, a broker that says another cluster_name is refused. */
  readonly clusterName?: string;
  readonly management?: ManagementConfig;
  /** Where `amq.rabbitmq.event` lives; false: do not use it. */
  readonly events: { readonly vhost: string } | false;
  /** Seconds, default 10. */
  readonly heartbeatSeconds?: number;
  /** How long one attempt to connect may take, default 5,000. */
  readonly connectTimeoutMs?: number;
}

/** `host:port/vhost`, which is what faults and states may say of an address: never credentials. */
export function nameOf(uri: RabbitUri): string {
  return `${uri.tls ? 'amqps' : 'amqp'}://${uri.host}:${uri.port}/${encodeURIComponent(uri.vhost)}`;
}
