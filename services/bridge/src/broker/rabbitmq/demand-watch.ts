import type { QueueProperties } from '@tombolo/wire/frame';
import type { DemandListener, DemandWatch } from '../port.ts';
import type { RabbitBrokerConfig, Surroundings } from './config.ts';
import type { Connection } from './connection.ts';
import type { Prober } from './probe.ts';

export class RabbitDemandWatch implements DemandWatch {
  constructor(
    _config: RabbitBrokerConfig,
    _surroundings: Surroundings,
    _prober: Prober,
    _own: (queue: string) => number,
  ) {}
  attach(_connection: Connection): void {}
  detach(): void {}
  async propertiesOf(_queue: string): Promise<QueueProperties | undefined> {
    return undefined;
  }
  watch(
    _names: { readonly matches: (queue: string) => boolean; readonly exact: readonly string[] },
    _listener: DemandListener,
  ): void {}
  refresh(_queue?: string): void {}
  readonly method = 'none';
}
