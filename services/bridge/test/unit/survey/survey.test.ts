import { loadTopology } from '@tombolo/topology/load';
import { describe, expect, it } from 'vitest';
import { findingsFrom } from '../../../src/survey/findings.ts';
import { type Findings, type FoundQueue, surveyConnectors } from '../../../src/survey/survey.ts';

const file = `
version: 1
network: n
clusters:
  west: {bridge: {listen: '127.0.0.1:7460', uris: ['ws://127.0.0.1:7460'], secret: s}}
  east: {bridge: {secret: s}}
networkConnectors:
  - {name: audit, from: west, to: east, staticallyIncludedDestinations: [{queue: audit}], dynamicallyIncludedDestinations: []}
  - {name: rest, from: west, to: east, dynamicallyIncludedDestinations: [{queue: '>'}, {exchange: events}]}
`;

const queue = (name: string, changes: Partial<FoundQueue> = {}): FoundQueue => {
  return { name, properties: { durable: true, type: 'classic' }, ready: 0, consumers: 0, movers: [], ...changes };
};
const site = (queues: readonly FoundQueue[], changes: Partial<Findings> = {}): Findings => {
  return { queues, exchanges: [], permissions: undefined, ...changes };
};

function survey(west: Findings | undefined, east: Findings | undefined) {
  const { topology } = loadTopology('t.yaml', { env: {}, readFile: () => file });
  const found = new Map([...(west ? [['west', west] as const] : []), ...(east ? [['east', east] as const] : [])]);
  const connectors = surveyConnectors(topology!, found);
  return { connectors, rest: connectors.find(({ connector }) => connector === 'rest')! };
}

describe('what connectors would do with what the live brokers have', () => {
  it('is told with the messages at the source and the consumers at the sink', () => {
    const { connectors, rest } = survey(
      site([queue('q', { ready: 7 }), queue('audit', { ready: 3 })], { exchanges: ['events', 'other'] }),
      site([queue('q', { consumers: 2 }), queue('audit')]),
    );
    expect(connectors[0]?.queues).toMatchObject([{ queue: 'audit', ready: 3, static: true, refused: undefined }]);
    expect(rest.queues).toMatchObject([
      { queue: 'audit', refused: 'connector audit, which comes first, owns it' },
      { queue: 'q', ready: 7, consumers: 2, static: false, refused: undefined },
    ]);
    expect(rest.exchanges).toEqual(['events']);
  });

  const properties = (changes: object) => ({ properties: { durable: true, type: 'classic' as const, ...changes } });
  it.each<[string, FoundQueue | undefined, FoundQueue | undefined, RegExp]>([
    ['exclusive', queue('q', properties({ exclusive: true })), queue('q'), /^at west: it is exclusive/],
    ['auto-delete', queue('q', properties({ autoDelete: true })), queue('q'), /^at west: it is auto-delete/],
    ['a stream', queue('q', properties({ type: 'stream' })), queue('q'), /^at west: it is a stream/],
    ['a stream at the sink', queue('q'), queue('q', properties({ type: 'stream' })), /^at east: it is a stream/],
    ['internal', queue('q', properties({ internalPurpose: 'x' })), queue('q'), /^at west: it is internal/],
    ['absent at the source', undefined, queue('q'), /^it does not exist at west$/],
    ['absent at the sink', queue('q'), undefined, /^it does not exist at east$/],
    [
      'more perishable at the sink',
      queue('q'),
      queue('q', properties({ durable: false })),
      /^at east: it is not durable/,
    ],
  ])('refuses a queue that is %s, with the reason', (_, here, there, reason) => {
    const { rest } = survey(site(here ? [here] : []), site(there ? [there] : []));
    expect(rest.queues).toHaveLength(1);
    expect(rest.queues[0]?.refused).toMatch(reason);
  });

  it('counts reserved names and does not list them', () => {
    const { rest } = survey(site([queue('amq.gen-1'), queue('tombolo.master'), queue('q')]), site([queue('q')]));
    expect(rest.reserved).toBe(2);
    expect(rest.queues.map((row) => row.queue)).toEqual(['q']);
  });

  it('knows what the bridge’s user may not do', () => {
    const may = (read: string, write: string) => ({ permissions: { read, write, configure: '' } });
    const refused = (west: object, east: object) =>
      survey(site([queue('q')], west), site([queue('q')], east)).rest.queues[0]?.refused;
    expect(refused(may('^p', '.*'), may('.*', '.*'))).toBe("the bridge's user may not read it at west");
    expect(refused(may('^q$', ''), may('', '^tombolo'))).toBe("the bridge's user may not write to amq.default at east");
    expect(refused(may('^q$', ''), may('', '^amq\\.default$'))).toBeUndefined();
  });

  it('of a cluster that was not looked at assumes nothing', () => {
    const { rest } = survey(site([queue('q', { ready: 1 })]), undefined);
    expect(rest.queues).toMatchObject([{ queue: 'q', ready: 1, consumers: undefined, refused: undefined }]);
  });
});

describe('what the management API tells', () => {
  it('names the federation policies and shovels that move a queue, and goes on without what the user may not ask', async () => {
    const answers: Record<string, unknown> = {
      queues: [
        {
          ...{ name: 'q', type: 'quorum', durable: true, messages_ready: 4, consumers: 1, policy: 'fed' },
          effective_policy_definition: { 'federation-upstream-set': 'all' },
        },
        { name: 'p', type: 'classic', durable: true },
      ],
      exchanges: [{ name: '' }, { name: 'events' }],
      shovel: [{ name: 's', value: { 'src-queue': 'q', 'dest-queue': 'p', 'dest-uri': 'amqp://u:secret@far' } }],
    };
    const { findings, notes } = await findingsFrom(
      async (path) => {
        const kind = path.startsWith('/api/users') ? 'users' : (/queues|exchanges|shovel/.exec(path)?.[0] ?? '');
        if (!(kind in answers)) throw new Error('answered 401');
        return answers[kind];
      },
      'a/b',
      'bridge',
    );
    expect(findings.queues).toMatchObject([
      {
        name: 'q',
        ready: 4,
        consumers: 1,
        movers: ['federation (policy fed: upstream-set all)', 'shovel s (from it)'],
      },
      { name: 'p', ready: 0, movers: ['shovel s (to it)'] },
    ]);
    expect(findings.exchanges).toEqual(['events']);
    expect(findings.permissions).toBeUndefined();
    expect(notes).toEqual(['permissions could not be looked at: answered 401']);
  });
});
