import type { BrokerTlsSource } from '../broker-tls.ts';

/** One address of the cluster; a master and its slaves are tried in order, and only the master accepts connections. */
export interface ActiveMqUri {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface ActiveMqBrokerConfig {
  /** The cluster's name in the topology. */
  readonly cluster: string;
  readonly uris: readonly ActiveMqUri[];
  /** Empty: the broker asks nobody who he is. */
  readonly username: string;
  readonly password: string;
  readonly tls?: BrokerTlsSource;
  /** Seconds, default 10. */
  readonly heartbeatSeconds?: number;
  /** How long one attempt to connect may take, default 5,000. */
  readonly connectTimeoutMs?: number;
}

/** `stomp://host:port`, which is what faults and states may say of an address: never credentials. */
export function nameOf(uri: ActiveMqUri): string {
  return `${uri.tls ? 'stomp+ssl' : 'stomp'}://${uri.host}:${uri.port}`;
}
