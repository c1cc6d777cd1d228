import { describe, expect, it } from 'vitest';
import { concludes, standbyTrace, type TraceItem } from '../../../src/admin/conclusion.ts';
import {
  type ConnectorFact,
  type DemandFact,
  findingsOf,
  type QueueFact,
  type TraceFacts,
} from '../../../src/admin/trace.ts';
import { streamOf, viewOf } from './views.ts';

const connector: ConnectorFact = {
  name: 'w-e',
  from: 'west',
  to: 'east',
  permitted: true,
  detail: 'includes it by queue orders.>; networkTTL 1',
  state: 'open',
  static: false,
};
const refused: ConnectorFact = {
  ...connector,
  permitted: false,
  state: 'refused',
  detail: 'connector w-e excludes queue orders.local.>',
};
const demand: DemandFact = {
  cluster: 'east',
  consumers: 2,
  path: ['east'],
  alternatives: 0,
  unserved: undefined,
  tooFar: [],
};
const filled: QueueFact = { is: 'found', ready: 12, consumers: 1, properties: { durable: true }, refused: undefined };
const empty: QueueFact = { ...filled, ready: 0 };
const { broker, links } = viewOf();

/** West with 12 messages, a connector to east, and what else is given. */
function west(changes: Partial<TraceFacts> = {}): TraceFacts {
  const facts = { cluster: 'west', destination: 'orders.eu', draining: false, reserved: false, sighted: true, broker };
  return { ...facts, queue: filled, connectors: [connector], demands: [], streams: [], links, ...changes };
}

/** East with two consumers. */
function east(changes: Partial<TraceFacts> = {}): TraceFacts {
  const own = { ...demand, path: [] };
  return west({ cluster: 'east', queue: empty, demands: [own], links: [{ ...links[0]!, peer: 'west' }], ...changes });
}

const itemOf = (facts: TraceFacts): TraceItem => ({ cluster: facts.cluster, findings: findingsOf(facts) });
const conclusion = (...facts: TraceFacts[]): string => concludes(facts.map(itemOf));
const fed = streamOf('orders.eu', { peer: 'west', role: 'sink' });

describe('a trace', () => {
  const waits = 'Messages wait at west because, at ';
  const cases: [name: string, facts: TraceFacts[], says: string | RegExp][] = [
    ['everything flows', [west({ demands: [demand], streams: [streamOf('q')] }), east()], 'Messages flow from west.'],
    [
      'nothing waits, and what comes flows at once',
      [west({ queue: empty, demands: [demand], streams: [streamOf('q')] }), east({ streams: [fed] })],
      'No message waits: what comes flows at once.',
    ],
    [
      'no connector includes it',
      [west({ connectors: [refused], queue: filled })],
      `${waits}west, connector w-e (west -> east): ${refused.detail}.`,
    ],
    [
      'the sink does not include it',
      [west(), east({ connectors: [refused], demands: [], queue: undefined })],
      /because no consumer is known; at east, connector w-e .* excludes queue orders\.local\.>\.$/,
    ],
    [
      'networkTTL ends before the source',
      [
        west(),
        west({
          cluster: 'middle',
          queue: empty,
          demands: [{ ...demand, tooFar: [{ peer: 'west', detail: 'a message would cross 2 connectors' }] }],
        }),
      ],
      `${waits}middle, the demand of east is not told to west: a message would cross 2 connectors.`,
    ],
    [
      'the connector is paused',
      [west({ connectors: [{ ...connector, state: 'paused', detail: 'is paused' }] }), east()],
      /west, connector w-e .*is paused\.$/,
    ],
    [
      'the connector is pending',
      [west({ connectors: [{ ...connector, state: 'pending', detail: 'is not in the file of east yet' }] }), east()],
      /west, connector w-e .* not in the file of east yet\.$/,
    ],
    [
      'the only consumers are at a cluster that is drained',
      [
        west({ demands: [] }),
        east({
          demands: [
            { ...demand, path: [], unserved: { reason: 'drained', detail: 'east is drained: nothing is brought in' } },
          ],
        }),
      ],
      `${waits}east, east is drained: nothing is brought in.`,
    ],
    [
      'the link is down',
      [west({ links: [{ ...links[0]!, up: false, state: 'backoff', reason: 'connection refused' }] })],
      `${waits}west, link to east: down (connection refused).`,
    ],
    [
      'nobody consumes',
      [west(), east({ demands: [] })],
      'Messages wait at west because no cluster that answered has a consumer.',
    ],
    [
      'nobody consumes and nothing waits',
      [west({ queue: empty }), east({ demands: [] })],
      'No message waits, and nobody consumes.',
    ],
    [
      'the source has no such queue',
      [
        west({
          queue: { is: 'absent' },
          demands: [
            { ...demand, unserved: { reason: 'queue_absent', detail: 'queue orders.eu does not exist on west' } },
          ],
        }),
        east(),
      ],
      'No message waits; one that came would because, at west, not served: queue orders.eu does not exist on west.',
    ],
    [
      'the queue cannot be a source',
      [west({ queue: { ...filled, refused: 'it is auto-delete' }, demands: [demand] }), east()],
      `${waits}west, nothing is taken from it: it is auto-delete.`,
    ],
    [
      'the sink refuses the stream',
      [
        west({
          demands: [demand],
          streams: [streamOf('q', { state: 'idle', blockedBy: 'queue q on east: it is not durable' })],
        }),
        east(),
      ],
      `${waits}west, stream to east waits: queue q on east: it is not durable.`,
    ],
    [
      'the consumers are busy',
      [
        west({ demands: [demand], streams: [streamOf('q', { blockedBy: 'no credit', credit: 0, unsettled: 0 })] }),
        east({ streams: [{ ...fed, blockedBy: 'the consumers are busy: 9 messages wait in the queue' }] }),
      ],
      `${waits}east, stream from west waits: the consumers are busy: 9 messages wait in the queue.`,
    ],
    [
      'local consumers come first',
      [
        west({ queue: empty, demands: [{ ...demand, cluster: 'west', path: [] }, demand], streams: [streamOf('q')] }),
        east(),
      ],
      'No message waits: the consumers at west come first.',
    ],
    [
      'a single active consumer is local',
      [
        west({
          demands: [demand],
          streams: [
            streamOf('q', { blockedBy: 'a single-active-consumer queue is left to its local consumer', unsettled: 0 }),
          ],
        }),
        east(),
      ],
      /single-active-consumer queue is left to its local consumer\.$/,
    ],
    [
      'the rate is limited',
      [
        west({ demands: [demand], streams: [streamOf('q', { blockedBy: 'rate limit: 5 messages/s', unsettled: 0 })] }),
        east(),
      ],
      `${waits}west, stream to east waits: rate limit: 5 messages/s.`,
    ],
    [
      'the broker of the sink is down',
      [
        west({ demands: [demand], streams: [streamOf('q', { blockedBy: 'no credit', unsettled: 0 })] }),
        east({ broker: { ...broker, up: false, reason: 'connection refused' } }),
      ],
      `${waits}east, its broker is not connected: connection refused.`,
    ],
    [
      'the broker of the sink has an alarm while some are under way',
      [
        west({ demands: [demand], streams: [streamOf('q')] }),
        east({ broker: { ...broker, blocked: 'low on memory' } }),
      ],
      'Messages flow from west, although, at east, its broker takes no messages: low on memory.',
    ],
    [
      'no way to the consumers is known',
      [west({ demands: [{ ...demand, path: undefined }] })],
      `${waits}west, no way to east is known at present.`,
    ],
    ['the bridge drains', [west({ draining: true, demands: [demand] })], /the bridge of west is draining/],
    [
      'consumers are not seen',
      [west(), east({ sighted: false, demands: [] })],
      /the broker's consumers are not seen at present/,
    ],
    ['the name is reserved', [west({ reserved: true })], 'Never bridged: the name is reserved.'],
    [
      'an entry is static and the stream flows',
      [west({ connectors: [{ ...connector, static: true }], streams: [streamOf('q')] })],
      'Messages flow from west.',
    ],
  ];
  it.each(cases)('says so when %s', (_name, facts, says) => {
    if (typeof says === 'string') expect(conclusion(...facts)).toBe(says);
    else expect(conclusion(...facts)).toMatch(says);
  });

  it('says who did not answer when nobody else knows a cause', () => {
    const silent = { code: 'no_answer', state: 'stops' as const, text: 'did not answer within 2 s' };
    const items = [itemOf(west({ demands: [demand] })), { cluster: 'east', findings: [silent] }];
    expect(concludes(items)).toBe('Messages wait at west because, at east, did not answer within 2 s.');
    expect(concludes([itemOf(west()), ...items.slice(1)])).toBe(
      'Messages wait at west because no cluster that answered has a consumer; east did not answer.',
    );
  });

  it('says of a queue what it is, of a demand which way it comes, and of a stream how it stands', () => {
    const properties = { type: 'quorum', durable: true, maxLength: 100, overflow: 'reject-publish' };
    const facts = west({
      queue: { ...filled, ready: 1, properties },
      demands: [{ ...demand, path: ['middle', 'east'], alternatives: 1 }],
      streams: [streamOf('orders.eu')],
    });
    expect(findingsOf(facts).map(({ text }) => text)).toEqual([
      "queue orders.eu: 1 message ready, 1 consumer, a bridge's own included; quorum, max-length 100, reject-publish",
      'connector w-e (west -> east): includes it by queue orders.>; networkTTL 1',
      'link to east: up',
      '2 consumers at east, by middle; 1 other way known',
      'stream to east: flows; 95 settled, 5 unsettled, credit 10',
    ]);
  });

  it('does not blame a connector when another one between the same two includes the queue', () => {
    const [first] = findingsOf(west({ queue: undefined, connectors: [refused, { ...connector, name: 'other' }] }));
    expect(first?.state).toBe('info');
  });

  it('sends the operator from a standby to the master', () => {
    const view = viewOf({ role: 'standby', roleReason: 'another bridge beside this cluster is the master' });
    expect(standbyTrace('q', view).conclusion).toMatch(/standby: another bridge .* ask that one\.$/);
  });
});
