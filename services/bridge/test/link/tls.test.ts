import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { local, type Site, siteOf } from './site.ts';

let folder: string;
const running: Site[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tombolo-tls-'));
  openssl(
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem',
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  await Promise.all(running.splice(0).map((site) => site.links.stop('The test is over.')));
});

function openssl(line: string): void {
  execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'pipe' });
}

/** A certificate of our authority with this SAN. */
function issued(san: string) {
  const name = san.replace(/\W/g, '-');
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${san}\n`);
  openssl(
    `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout ${name}-key.pem -out ${name}.csr`,
  );
  openssl(
    `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ${name}.ext -out ${name}.pem`,
  );
  const read = (file: string) => readFileSync(join(folder, file), 'utf8');
  return { ca: read('ca.pem'), cert: read(`${name}.pem`), key: read(`${name}-key.pem`) };
}

async function linked(eastSan: string, westSan: string | undefined, eastIdentity?: string) {
  const secrets = ['s3cret'];
  const east = siteOf('east', {
    listen: { ...local, tls: issued(eastSan) },
    peers: [{ cluster: 'west', uris: [], dial: false, secrets }],
  });
  running.push(east);
  await east.links.start();
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8');
  const uris = [`wss://127.0.0.1:${east.links.port}/link`];
  const peer = { cluster: 'east', uris, dial: true, secrets };
  const west = siteOf('west', {
    tls: westSan === undefined ? { ca } : issued(westSan),
    peers: [eastIdentity === undefined ? peer : { ...peer, tlsIdentity: eastIdentity }],
  });
  running.push(west);
  await west.links.start();
  return { east, west };
}

describe('links over TLS', () => {
  it('come up when both certificates carry the clusters’ names', async () => {
    const { east, west } = await linked('DNS:east', 'DNS:west');
    await awaitUntil('up', () => east.links.isUp('west') && west.links.isUp('east'));
  });

  it('come up with identities of another kind when they are configured', async () => {
    const { west } = await linked('URI:spiffe://acme/east', 'DNS:west', 'spiffe://acme/east');
    await awaitUntil('up', () => west.links.isUp('east'));
  });

  it('do not come up with a listener that is somebody else', async () => {
    const { west } = await linked('DNS:north', 'DNS:west');
    await awaitUntil('refused', () => west.links.views()[0]!.reason?.includes("does not carry the identity 'east'"));
  });

  it('do not come up with a dialler that is somebody else, even if it has the secret', async () => {
    const { east, west } = await linked('DNS:east', 'DNS:north');
    await awaitUntil('refused', () => west.links.views()[0]!.reason?.includes('does not carry its identity'));
    expect(east.links.counters()[0]!.refused.get('identity')).toBeGreaterThan(0);
  });

  it('do not come up without a certificate when one is asked for', async () => {
    const { west, east } = await linked('DNS:east', undefined);
    await awaitUntil('refused', () => west.links.views()[0]!.reason !== undefined);
    expect(east.ups).toEqual([]);
  });
});
