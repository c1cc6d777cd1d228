import type { DemandView, LinkView, StreamView } from '@tombolo/bridge/admin/view';
import type { Snapshot } from '../src/snapshot.ts';

/** A master to whom nothing is wrong, whose link to east carries one queue. */
export function healthy(): Snapshot {
  return {
    status: {
      network: 'acme',
      cluster: 'west',
      instance: 'west-0',
      version: '0.1.0',
      role: 'master',
      roleReason: undefined,
      election: { type: 'broker', holder: undefined, leaseRemainingMs: undefined },
      draining: false,
      drains: [],
      incarnation: 3,
      readiness: { ready: true, reasons: [] },
      broker: {
        type: 'rabbitmq',
        up: true,
        state: 'master',
        address: '127.0.0.1:5672//',
        product: 'RabbitMQ 3.10.8',
        reason: undefined,
        blocked: undefined,
        demandMethod: 'management API + events',
      },
      links: [linkTo('east')],
      connectors: [
        {
          name: 'west-to-east',
          from: 'west',
          to: 'east',
          duplex: false,
          peer: 'east',
          state: 'up',
          reason: undefined,
        },
      ],
      differences: [],
      notes: [],
      totals: { demand: 1, streams: 1 },
    },
    demand: [demandFor('orders.eu')],
    streams: [streamOf('orders.eu')],
  };
}

/** The same bridge with another status. */
export function withStatus(changes: Partial<Snapshot['status']>): Snapshot {
  const snapshot = healthy();
  return { ...snapshot, status: { ...snapshot.status, ...changes } };
}

export function linkTo(peer: string, changes: Partial<LinkView> = {}): LinkView {
  return {
    peer,
    up: true,
    state: 'up',
    reason: undefined,
    address: 'ws://127.0.0.1:7460',
    roundTripMs: 12.34,
    protocolVersion: 1,
    reconnects: 2,
    bytesIn: 1536,
    bytesOut: 200,
    ...changes,
  };
}

export function demandFor(destination: string, changes: Partial<DemandView> = {}): DemandView {
  return {
    kind: 'queue',
    destination,
    cluster: 'east',
    consumers: 2,
    unserved: undefined,
    detail: undefined,
    connectors: ['west-to-east'],
    ...changes,
  };
}

export function streamOf(destination: string, changes: Partial<StreamView> = {}): StreamView {
  return {
    role: 'source',
    peer: 'east',
    connector: 'west-to-east',
    kind: 'queue',
    destination,
    state: 'flowing',
    blockedBy: undefined,
    epoch: '3.1',
    granted: 110,
    credit: 10,
    window: 50,
    last: 100,
    unsettled: 5,
    unsettledBytes: 500,
    accepted: 95,
    released: 0,
    rejected: 0,
    returned: 0,
    suppressed: 0,
    missing: [],
    comparedThrough: 95,
    lost: 0,
    doubled: 0,
    ...changes,
  };
}
