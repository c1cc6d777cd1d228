import { describe, expect, it } from 'vitest';
import { bytesText, complaintsOf, pictureOf, rateText } from '../page/model.js';

const site = (changes: object = {}) => ({
  instance: 'w-0',
  version: '1',
  role: 'master',
  broker: { type: 'rabbitmq', up: true, uris: [], product: 'RabbitMQ 3.10.8' },
  drains: [],
  demand: 0,
  unserved: 0,
  streams: 0,
  waiting: 0,
  ...changes,
});

const connector = (name: string, from: string, to: string, changes: object = {}) => ({
  ...{ name, from, to, duplex: false, state: 'up' },
  ...changes,
});

const network = (changes: object = {}) => ({
  network: 'acme',
  cluster: 'west',
  role: 'master',
  clusters: [
    { name: 'west', seen: 'own', site: site() },
    { name: 'east', seen: 'told', site: site() },
  ],
  links: [{ between: ['west', 'east'], state: 'up' }],
  connectors: [connector('west-east', 'west', 'east')],
  flows: [],
  ...changes,
});

const status = (changes: object = {}) => ({
  cluster: 'west',
  broker: { up: true, state: 'master' },
  readiness: { ready: true, reasons: [] },
  differences: [],
  ...changes,
});

const complaints = (parts: { status?: object; network?: object; unserved?: object[]; blocked?: object[] } = {}) =>
  complaintsOf({ status: status(), network: network(), unserved: [], blocked: [], ...parts } as never).map(
    ({ text }: { text: string }) => text,
  );

describe('what the console finds amiss', () => {
  it('is nothing when all is well, and nothing that an operator wished', () => {
    expect(complaints()).toEqual([]);
    const wished = [{ unserved: 'paused', destination: 'q', cluster: 'east', consumers: 1 }];
    const paused = network({ connectors: [connector('c', 'west', 'east', { state: 'paused' })] });
    expect(complaints({ unserved: wished, network: paused })).toEqual([]);
  });

  it('names a broken link once, and not its connectors as well', () => {
    const broken = network({
      links: [{ between: ['east', 'west'], state: 'down', reason: 'connection refused' }],
      connectors: [connector('c', 'west', 'east', { state: 'down', reason: 'no link to east' })],
    });
    expect(complaints({ network: broken })).toEqual(['The link of east and west is down: connection refused']);
  });

  it('has what other clusters say of themselves, and those that say nothing', () => {
    const clusters = [
      { name: 'west', seen: 'own', site: site() },
      {
        name: 'east',
        seen: 'told',
        site: site({ broker: { type: 'rabbitmq', up: false, uris: [], reason: 'refused' } }),
      },
      { name: 'north', seen: 'silent' },
    ];
    expect(complaints({ network: network({ clusters }) })).toEqual([
      'The broker of east is not connected: refused',
      'The bridge of north does not answer: it is busy, or older than this one',
    ]);
  });

  it('says which consumers are not served and why', () => {
    const unserved = [
      { unserved: 'no_route', detail: 'there is no way', destination: 'orders', cluster: 'east', consumers: 2 },
    ];
    expect(complaints({ unserved })).toEqual(['2 consumers of orders at east not served: there is no way']);
  });
});

describe('the picture', () => {
  type Arrow = { from: string; to: string; state: string; text: string; name: string; flows: boolean };
  const arrows = (changes: object) => pictureOf(network(changes) as never).arrows as Arrow[];

  it('has an arrow for each direction in which messages may flow', () => {
    const both = arrows({ connectors: [connector('c', 'west', 'east', { duplex: true })] });
    expect(both.map(({ from, to }) => `${from} ${to}`)).toEqual(['west east', 'east west']);
    expect(arrows({}).map(({ from, to }) => `${from} ${to}`)).toEqual(['west east']);
  });

  it('says of an arrow what flows, or why nothing can', () => {
    const flows = [{ from: 'west', to: 'east', perSecond: 1234.5, relayed: 0, connectors: [] }];
    expect(arrows({ flows })[0]).toMatchObject({ state: 'up', text: '1,235/s', flows: true });
    expect(arrows({})[0]).toMatchObject({ state: 'up', text: 'idle', flows: false });
    for (const state of ['paused', 'pending'])
      expect(arrows({ connectors: [connector('c', 'west', 'east', { state })] })[0]).toMatchObject({
        state,
        text: state,
      });
    const down = { links: [{ between: ['west', 'east'], state: 'down' }] };
    expect(arrows(down)[0]).toMatchObject({ state: 'down', text: 'link down' });
    expect(arrows({ connectors: [connector('c', 'west', 'east', { state: 'unknown' })] })[0]).toMatchObject({
      text: 'not known',
    });
  });

  it('calls an arrow up as long as one of its connectors is', () => {
    const connectors = [connector('c', 'west', 'east', { state: 'paused' }), connector('d', 'west', 'east')];
    expect(arrows({ connectors })).toMatchObject([{ state: 'up', name: '2 connectors' }]);
  });

  it('marks the own cluster, those that need attention and those that are not seen', () => {
    const clusters = [
      { name: 'west', seen: 'own', site: site({ unserved: 3 }) },
      { name: 'east', seen: 'unreachable' },
      { name: 'north', seen: 'told', site: site({ broker: { type: 'rabbitmq', up: false, uris: [] } }) },
      { name: 'south', seen: 'told', site: site({ drains: ['cluster'], deadLetters: 1 }) },
    ];
    const { nodes } = pictureOf(network({ clusters }) as never);
    expect(nodes).toMatchObject([
      { name: 'west', here: true, mood: 'attention', lines: ['RabbitMQ 3.10.8', '3 unserved'] },
      { name: 'east', here: false, mood: 'unknown', lines: ['not seen from here'] },
      { name: 'north', mood: 'bad', lines: ['broker not connected'] },
      { name: 'south', mood: 'attention', lines: ['RabbitMQ 3.10.8', 'drained · 1 dead letter'] },
    ]);
  });
});

describe('figures', () => {
  it('are for people', () => {
    expect([0, 0.44, 9.96, 12.4, 3400].map(rateText)).toEqual(['idle', '0.4/s', '10/s', '12/s', '3,400/s']);
    expect([10, 1536, 5 * 1024 ** 3].map(bytesText)).toEqual(['10 B', '1.5 KiB', '5.0 GiB']);
  });
});
