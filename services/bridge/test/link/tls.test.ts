import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { leaksIn, secretOf } from '@tombolo/testing/canary';
import { type Issued, TestAuthority } from '@tombolo/testing/certificates';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { carries, type LinkTls } from '../../src/link/link-tls.ts';
import { CertificateFiles } from '../../src/tls/certificate-files.ts';
import { local, type Site, siteOf, testPolicy } from './site.ts';

let authority: TestAuthority;
let other: TestAuthority;
let east: Issued;
let west: Issued;
const running: Site[] = [];

beforeAll(() => {
  authority = new TestAuthority('The right authority');
  other = new TestAuthority('Another authority');
  east = authority.issue(['DNS:east']);
  west = authority.issue(['DNS:west']);
});
afterAll(() => {
  authority.close();
  other.close();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((site) => site.links.stop('The test is over.')));
});

type Source = LinkTls | (() => LinkTls) | undefined;

function withTls(tls: Source) {
  return tls === undefined ? {} : { tls: typeof tls === 'function' ? tls : () => tls };
}

interface Sites {
  readonly eastTls: Source;
  readonly westTls: Source;
  readonly scheme?: 'ws' | 'wss';
  readonly secrets?: string[];
  readonly identities?: { readonly east?: string; readonly west?: string };
}

/** West dials east. */
async function dialled({ eastTls, westTls, scheme = 'wss', identities = {}, secrets = [secretOf('links')] }: Sites) {
  const named = (cluster: 'east' | 'west') => {
    const tlsIdentity = identities[cluster];
    return { cluster, secrets, ...(tlsIdentity !== undefined && { tlsIdentity }) };
  };
  const listening = siteOf('east', {
    listen: { ...local, ...withTls(eastTls) },
    peers: [{ ...named('west'), uris: [], dial: false }],
  });
  running.push(listening);
  await listening.links.start();
  const uris = [`${scheme}://127.0.0.1:${listening.links.port}/link`];
  const dialling = siteOf('west', { ...withTls(westTls), peers: [{ ...named('east'), uris, dial: true }] });
  running.push(dialling);
  await dialling.links.start();
  return { east: listening, west: dialling };
}

const trusted = (issued: Issued, by: TestAuthority = authority): LinkTls => ({ ...issued, ca: by.ca });
const bothUp = (sites: { east: Site; west: Site }) => () =>
  sites.east.links.isUp('west') && sites.west.links.isUp('east');
const reasonOf = (site: Site) => site.links.views()[0]?.reason ?? '';
const refusals = (site: Site, reason: string) =>
  site.links.counters().reduce((sum, { refused }) => sum + (refused.get(reason as never) ?? 0), 0);
const warnings = (site: Site) => JSON.stringify(site.logged.filter(({ level }) => level === 'warn'));

describe('links over TLS', () => {
  it('come up when both certificates carry the clusters’ names', async () => {
    const sites = await dialled({ eastTls: trusted(east), westTls: trusted(west) });
    await awaitUntil('up', bothUp(sites));
    sites.west.links.send('east', { kind: 'snapshot-request' });
    await awaitUntil('frames pass', () => sites.east.frames.length === 1);
    expect(sites.west.links.counters()[0]!.bytesIn).toBeGreaterThan(0);
  });

  it('come up with identities of another kind when they are configured', async () => {
    const eastTls = trusted(authority.issue(['URI:spiffe://acme/east']));
    const identities = { east: 'spiffe://acme/east', west: 'west' };
    await awaitUntil('up', bothUp(await dialled({ eastTls, westTls: trusted(west), identities })));
  });

  it('come up without a certificate of the dialler where none is asked for, by the secret alone', async () => {
    const { cert, key } = east;
    await awaitUntil('up', bothUp(await dialled({ eastTls: { cert, key }, westTls: { ca: authority.ca } })));
  });
});

describe('without a secret', () => {
  it('links come up where both sides show certificates, and only there', async () => {
    await awaitUntil('up', bothUp(await dialled({ eastTls: trusted(east), westTls: trusted(west), secrets: [] })));
    const { cert, key } = east;
    const open = await dialled({ eastTls: { cert, key }, westTls: { ca: authority.ca }, secrets: [] });
    await awaitUntil('refused', () => /do not hold the same secret/.test(reasonOf(open.west)));
    const plain = await dialled({ eastTls: undefined, westTls: undefined, scheme: 'ws', secrets: [] });
    await awaitUntil('refused', () => /do not hold the same secret/.test(reasonOf(plain.west)));
    expect([...open.east.ups, ...plain.east.ups]).toEqual([]);
  });
});

interface Refused {
  readonly what: string;
  readonly reason: string;
  /** What an operator reads, on both sides. */
  readonly says: RegExp;
  readonly sites: () => Sites;
}

describe('links over TLS are refused, with the reason in the status, log and counters of both sides', () => {
  const cases: readonly Refused[] = [
    {
      what: 'for a listener that is somebody else',
      reason: 'identity',
      says: /certificate that cluster 'east' showed does not carry its identity 'east' \(its names: DNS:north, IP Address:127.0.0.1\)/,
      sites: () => ({ eastTls: trusted(authority.issue(['DNS:north', 'IP:127.0.0.1'])), westTls: trusted(west) }),
    },
    {
      what: 'for a dialler that is somebody else, even if it has the secret',
      reason: 'identity',
      says: /certificate that cluster 'west' showed does not carry its identity 'west' \(its names: DNS:north\)/,
      sites: () => ({ eastTls: trusted(east), westTls: trusted(authority.issue(['DNS:north'])) }),
    },
    {
      what: 'for a listener’s certificate that has expired',
      reason: 'certificate',
      says: /certificate that cluster 'east' showed has expired \(.+\)\. Replace it/,
      sites: () => ({
        eastTls: trusted(authority.issue(['DNS:east'], { from: -3, until: -1 })),
        westTls: trusted(west),
      }),
    },
    {
      what: 'for a dialler’s certificate that has expired',
      reason: 'certificate',
      says: /certificate that cluster 'west' showed has expired/,
      sites: () => ({
        eastTls: trusted(east),
        westTls: trusted(authority.issue(['DNS:west'], { from: -3, until: -1 })),
      }),
    },
    {
      what: 'for a certificate that is not valid yet',
      reason: 'certificate',
      says: /not yet valid \(from .+\)\. Check the clocks/,
      sites: () => ({ eastTls: trusted(authority.issue(['DNS:east'], { from: 1, until: 2 })), westTls: trusted(west) }),
    },
    {
      what: 'for a listener of another authority',
      reason: 'certificate',
      says: /of an authority that cluster 'west' does not trust \(issuer Another authority\)\. Add that authority to bridge.tls.ca of 'west'/,
      sites: () => ({ eastTls: trusted(other.issue(['DNS:east'])), westTls: trusted(west) }),
    },
    {
      what: 'for a dialler of another authority',
      reason: 'certificate',
      says: /of an authority that cluster 'east' does not trust \(issuer Another authority\)/,
      sites: () => ({ eastTls: trusted(east), westTls: trusted(other.issue(['DNS:west'])) }),
    },
    {
      what: 'for a certificate that is meant for servers only',
      reason: 'certificate',
      says: /not meant for this \(extended key usage\)\. A bridge needs serverAuth and clientAuth/,
      sites: () => ({
        eastTls: trusted(east),
        westTls: trusted(authority.issue(['DNS:west'], { usage: 'serverAuth' })),
      }),
    },
    {
      what: 'for a dialler without a certificate where one is asked for',
      reason: 'certificate',
      says: /Cluster 'west' showed no certificate, and cluster 'east' asks for one/,
      sites: () => ({ eastTls: trusted(east), westTls: { ca: authority.ca } }),
    },
  ];
  it.each(cases)('$what', async ({ reason, says, sites }) => {
    const both = await dialled(sites());
    await awaitUntil('both sides say so', () => says.test(reasonOf(both.west)) && says.test(reasonOf(both.east)));
    for (const site of [both.east, both.west]) {
      expect(refusals(site, reason)).toBeGreaterThan(0);
      expect(warnings(site)).toMatch(says);
      expect(site.ups).toEqual([]);
      expect(leaksIn(JSON.stringify(site.logged))).toEqual([]);
    }
  });

  it('for a plain peer on an address that wants TLS', async () => {
    const sites = await dialled({ eastTls: trusted(east), westTls: undefined, scheme: 'ws' });
    await awaitUntil('west says so', () =>
      /dialled without TLS, and its address wants it\. Write wss:/.test(reasonOf(sites.west)),
    );
    expect(warnings(sites.east)).toMatch(/spoke plain HTTP to the link address, which wants TLS/);
    for (const site of [sites.east, sites.west]) expect(refusals(site, 'tls')).toBeGreaterThan(0);
  });

  it('for a peer that speaks TLS to a plain address', async () => {
    const sites = await dialled({ eastTls: undefined, westTls: trusted(west) });
    await awaitUntil('west says so', () =>
      /dialled with TLS, and what answers does not speak it/.test(reasonOf(sites.west)),
    );
    expect(warnings(sites.east)).toMatch(/spoke TLS to the link address, which wants plain/);
    for (const site of [sites.east, sites.west]) expect(refusals(site, 'tls')).toBeGreaterThan(0);
  });

  it('and nothing is learnt of the network by who has no certificate of ours', async () => {
    const { west: dialling } = await dialled({ eastTls: trusted(east), westTls: trusted(other.issue(['DNS:west'])) });
    await awaitUntil('refused', () => refusals(dialling, 'certificate') > 0);
    expect(refusals(dialling, 'network') + refusals(dialling, 'unknown_cluster')).toBe(0);
  });
});

describe('certificate files that are replaced', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  function filesOf(issued: Issued, ca: string) {
    const folder = mkdtempSync(join(tmpdir(), 'tombolo-tls-'));
    folders.push(folder);
    const write = (next: Partial<LinkTls>) => {
      for (const [name, text] of Object.entries(next)) writeFileSync(join(folder, `${name}.pem`), text as string);
    };
    write({ cert: issued.cert, key: issued.key, ca });
    const [cert, key, trust] = ['cert', 'key', 'ca'].map((name) => join(folder, `${name}.pem`)) as [
      string,
      string,
      string,
    ];
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const files = new CertificateFiles({
      use: 'link',
      section: 'clusters.east.bridge.tls',
      files: { cert, key, ca: trust },
      // Ten times as fast: files are looked at ten times a second.
      clock: { ...systemClock, now: () => systemClock.now() * 10 },
      wallClock: Date.now,
      log,
    });
    return { files, write, lines };
  }

  it('are used by the next handshake, while the link that stands is not touched', async () => {
    const own = filesOf(east, authority.ca);
    let westTls = trusted(west);
    const sites = await dialled({ eastTls: () => own.files.current, westTls: () => westTls });
    await awaitUntil('up', bothUp(sites));

    // West trusts the new authority before east shows a certificate of it, and the old one is dropped last.
    westTls = { ...west, ca: authority.ca + other.ca };
    const renewed = other.issue(['DNS:east']);
    own.write({ cert: renewed.cert, key: renewed.key });
    await awaitUntil('the new files are read', () => own.files.current.cert?.toString() === renewed.cert);
    westTls = { ...west, ca: other.ca };
    await new Promise((resolve) => setTimeout(resolve, 2 * testPolicy.heartbeatMs));
    expect(sites.west.downs).toEqual([]);
    expect(own.lines.join('')).toMatch(/"names":"DNS:east".*certificate files read anew/);

    sites.east.role = 'standby';
    sites.east.links.roleChanged();
    await awaitUntil('it ends', () => sites.west.downs.length === 1);
    sites.east.role = 'master';
    sites.east.links.roleChanged();
    await awaitUntil('up by the new certificate', bothUp(sites));
  });

  it('take the trust away from what they do not name any more: a peer of the old authority is refused from then on', async () => {
    const own = filesOf(east, authority.ca + other.ca);
    const sites = await dialled({
      eastTls: () => own.files.current,
      westTls: { ...other.issue(['DNS:west']), ca: authority.ca },
    });
    await awaitUntil('up', bothUp(sites));
    own.write({ ca: authority.ca });
    await awaitUntil('the new files are read', () => own.files.current.ca?.toString() === authority.ca);
    sites.east.role = 'standby';
    sites.east.links.roleChanged();
    await awaitUntil('it ends', () => sites.west.downs.length === 1);
    sites.east.role = 'master';
    sites.east.links.roleChanged();
    await awaitUntil('refused', () => /of an authority that cluster 'east' does not trust/.test(reasonOf(sites.west)));
    expect(refusals(sites.east, 'certificate')).toBeGreaterThan(0);
  });

  it('and do not fit each other yet change nothing, and an operator is told', async () => {
    const own = filesOf(east, authority.ca);
    const renewed = authority.issue(['DNS:east'], { until: 20 });
    own.write({ cert: renewed.cert });
    await awaitUntil('it is noticed', () =>
      own.files.views().some(({ note }) => /is not that of the certificate/.test(note ?? '')),
    );
    expect(own.files.current.cert?.toString()).toBe(east.cert);
    expect(own.lines.join('')).toMatch(/certificate files not usable/);
    own.write({ key: renewed.key });
    await awaitUntil('they are read', () => own.files.current.cert?.toString() === renewed.cert);
    const view = own.files.views().find(({ use }) => use === 'link')!;
    expect(view.note).toBeUndefined();
    expect(view.expiresSeconds).toBeGreaterThan(Date.now() / 1_000 + 19 * 86_400);
  });

  it('and run out soon are told of two weeks before', () => {
    const { files } = filesOf(authority.issue(['DNS:east'], { until: 3.5 }), authority.ca);
    expect(files.views()).toMatchObject([
      {
        use: 'link',
        note: expect.stringMatching(
          /expires on \d{4}-\d\d-\d\d, in 3 days: replace the file; a new one is used without a restart/,
        ),
      },
      { use: 'link_ca', note: undefined },
    ]);
  });

  it.each([
    [
      'a key of another certificate',
      () => filesOf({ ...east, key: west.key }, authority.ca),
      /clusters.east.bridge.tls: the key .+ is not that of the certificate/,
    ],
    [
      'no certificate at all',
      () => filesOf({ ...east, cert: 'nonsense' }, authority.ca),
      /cert .+ holds no certificate in PEM/,
    ],
    [
      'no key',
      () => filesOf({ ...east, key: 'nonsense' }, authority.ca),
      /holds no private key in PEM, or one that needs a pass phrase/,
    ],
  ] as const)('with %s are refused at the start', (_, make, says) => {
    expect(make).toThrow(says);
  });
});

it('a name with a comma in it is not taken for two', () => {
  const shown = (subjectaltname: string) => ({ subjectaltname }) as Parameters<typeof carries>[0];
  expect(carries(shown('DNS:"north, DNS:west, DNS:x", DNS:south'), 'west')).toBe(false);
  expect(carries(shown('DNS:"north, x", DNS:west'), 'west')).toBe(true);
  expect(carries(shown('IP Address:127.0.0.1, URI:spiffe://acme/west'), 'spiffe://acme/west')).toBe(true);
});

describe('the link address', () => {
  it('closes what does not become a link in time', async () => {
    const { east: listening } = await dialled({ eastTls: trusted(east), westTls: trusted(west) });
    const sockets: Socket[] = [];
    const open = (bytes: string) => {
      const socket = connect(listening.links.port!, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      socket.write(bytes);
      sockets.push(socket);
      return socket;
    };
    const silent = open('');
    const plain = open('GET /master HTTP/1.1\r\nhost: x\r\n\r\n');
    await awaitUntil('the plain one is answered and closed', () => plain.closed);
    await awaitUntil('the silent one is closed', () => silent.closed);
    for (const socket of sockets) socket.destroy();
  });
});
