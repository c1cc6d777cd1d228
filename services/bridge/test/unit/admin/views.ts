import type { Survey } from '../../../src/admin/network.ts';
import { siteOf } from '../../../src/admin/site.ts';
import type { BridgeView, DemandView, StreamView } from '../../../src/admin/view.ts';

/** A master to whom nothing is wrong, with one link and one connector; `changes` says what is different. */
export function viewOf(changes: Partial<BridgeView> = {}): BridgeView {
  return {
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
    links: [
      {
        peer: 'east',
        up: true,
        state: 'up',
        reason: undefined,
        address: 'ws://127.0.0.1:7460',
        roundTripMs: 12,
        protocolVersion: 1,
        reconnects: 2,
        bytesIn: 1000,
        bytesOut: 2000,
      },
    ],
    connectors: [
      { name: 'west-to-east', from: 'west', to: 'east', duplex: false, peer: 'east', state: 'up', reason: undefined },
    ],
    demand: [],
    streams: [],
    topicBuffers: [],
    differences: [],
    certificates: [],
    notes: [],
    ...changes,
  };
}

/** Two consumers of `destination` at east, served. */
export function demandOf(destination: string, changes: Partial<DemandView> = {}): DemandView {
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

/** A stream of `destination` from here to east. */
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

/** The network of clusters west and east as the bridge of this view sees it alone. */
export function surveyOf(view: BridgeView): Survey {
  const none = new Map<string, number>();
  const site = siteOf(view, ['amqp://127.0.0.1:5672/%2F'], { forwarded: none, delivered: none, relayed: none });
  const connectors = view.connectors as unknown as Survey['file']['connectors'];
  return {
    file: { network: view.network, clusters: { west: {}, east: {} }, connectors },
    cluster: view.cluster,
    sightings: new Map([[view.cluster, { seen: 'own', ageMs: 0, site }]]),
  };
}
