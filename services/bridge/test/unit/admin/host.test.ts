import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ManualClock } from '@tombolo/kernel/clock';
import { loadTopology } from '@tombolo/topology/load';
import { afterEach, describe, expect, it } from 'vitest';
import type { BridgeView } from '../../../src/admin/view.ts';
import { type BridgeParts, Host, type HostedBridge, peersOf } from '../../../src/host.ts';
import { secretsOf } from '../../../src/secrets.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { Redactor } from '../../../src/telemetry/redactor.ts';
import { viewOf } from './views.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

function topologyWith(bridge: object) {
  const uris = ['amqp://127.0.0.1:5672/%2F'];
  const file = {
    version: 1,
    network: 'acme',
    clusters: {
      west: {
        broker: { type: 'rabbitmq', uris, username: 'bridge', password: 'pw-of-the-broker' },
        bridge: { secret: 'secret-of-the-links', ...bridge },
      },
      east: { bridge: { listen: '127.0.0.1:7460', uris: ['ws://127.0.0.1:7460'] } },
    },
    networkConnectors: [{ name: 'west-to-east', from: 'west', to: 'east' }],
  };
  const { topology, problems } = loadTopology('tombolo.yaml', {
    env: {},
    cluster: ['west'],
    readFile: () => JSON.stringify(file),
  });
  if (!topology) throw new Error(JSON.stringify(problems));
  return topology;
}

/** A bridge that shows what it is told to, and stops when it is let. */
class FakeBridge implements HostedBridge {
  shown: BridgeView = viewOf();
  started = false;
  changed = (): void => {};
  letStop = (): void => {};
  readonly #mayStop = new Promise<void>((resolve) => {
    this.letStop = resolve;
  });

  async start(): Promise<void> {
    this.started = true;
  }

  stop(): Promise<void> {
    return this.#mayStop;
  }

  view(): BridgeView {
    return this.shown;
  }

  amend(): void {}

  async trace(destination: string) {
    return { destination, items: [], conclusion: '' };
  }

  async survey() {
    return { file: { network: 'acme', clusters: {}, connectors: [] }, cluster: 'west', sightings: new Map() };
  }

  readonly deadLetters = undefined;

  async cleanup() {
    return [];
  }

  async drain() {
    return [];
  }

  async undrain(): Promise<void> {}

  async checkDrain(): Promise<never> {
    throw new Error('not asked');
  }

  release() {
    return [];
  }

  pause(): void {}
  resume(): void {}
}

function hostWith(settings: object) {
  const bridge = new FakeBridge();
  const topology = topologyWith(settings);
  const redactor = new Redactor(secretsOf(topology));
  const lines: string[] = [];
  const log = createLog({ level: 'info', redactor, destination: { write: (line: string) => void lines.push(line) } });
  const clock = new ManualClock();
  const createBridge = ({ changed }: BridgeParts) => {
    bridge.changed = () => changed?.();
    return bridge;
  };
  const base = {
    topology,
    clusters: ['west'],
    instance: 'west-0',
    version: '0.1.0',
    log,
    redactor,
    clock,
    wallClock: () => 1_000_000,
  };
  const phrases = () => lines.map((line) => JSON.parse(line).msg as string);
  return { topology, make: () => new Host({ ...base, createBridge }), bridge, clock, lines, phrases };
}

const running: { host: Host; bridge: FakeBridge }[] = [];

async function startHost(settings: object) {
  const parts = hostWith(settings);
  const host = parts.make();
  running.push({ host, bridge: parts.bridge });
  await host.start();
  return { host, ...parts };
}

describe('the host of bridges', () => {
  afterEach(async () => {
    for (const { host, bridge } of running.splice(0)) {
      bridge.letStop();
      await host.stop();
    }
  });

  it('serves the API on one address, and health and metrics alone on the other', async () => {
    const [admin, metrics] = [await freePort(), await freePort()];
    await startHost({ admin: `127.0.0.1:${admin}`, metrics: { listen: `127.0.0.1:${metrics}` } });
    const statusOf = async (port: number, path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    expect(await statusOf(admin, '/api/v1/status')).toBe(200);
    expect(await statusOf(metrics, '/readyz')).toBe(200);
    expect(await statusOf(metrics, '/api/v1/status')).toBe(404);
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    expect(text).toMatch(/tombolo_config_hash\{[^}]*\} \d+/);
    expect(text).toMatch(/tombolo_config_last_reload_success_timestamp_seconds\{[^}]*\} 1000/);
    expect(text).toMatch(/tombolo_link_up\{[^}]*peer="east"[^}]*\} 1|tombolo_link_up\{peer="east"[^}]*\} 1/);
  });

  it('goes by the topology that is in force: its token, its peers, and what is counted of its connectors', async () => {
    const admin = await freePort();
    const { host, topology, bridge } = await startHost({ admin: `127.0.0.1:${admin}`, adminToken: 'the-old-token' });
    const pausedWith = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const url = `http://127.0.0.1:${admin}/api/v1/connectors/west-to-east/pause`;
      return (await fetch(url, { method: 'POST', headers })).status;
    };
    const metrics = async () => (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
    expect(await pausedWith('the-old-token')).toBe(200);
    expect(await metrics()).toMatch(/tombolo_link_reconnects_total\{[^}]*peer="east"/);
    const west = topology.clusters['west']!;
    host.amend({
      ...topology,
      clusters: {
        west: { ...west, bridge: { ...west.bridge, adminToken: 'the-new-token' } },
        north: { ...topology.clusters['east']!, name: 'north' },
      },
      connectors: topology.connectors.map((connector) => ({ ...connector, name: 'west-to-north', to: 'north' })),
    });
    host.reloaded();
    bridge.shown = viewOf({ links: [], connectors: [] });
    expect(await pausedWith('the-old-token')).toBe(401);
    const text = await metrics();
    expect(text).toMatch(/tombolo_link_reconnects_total\{[^}]*peer="north"/);
    expect(text).not.toContain('peer="east"');
    expect(text).not.toContain('connector="west-to-east"');
    expect(text).toMatch(/tombolo_config_reloads_total\{[^}]*result="success"[^}]*\} 1/);
    host.refused();
    expect(await metrics()).toMatch(/tombolo_config_reloads_total\{[^}]*result="failure"[^}]*\} 1/);
  });

  it('is not ready while it drains, and answers until the bridge has stopped', async () => {
    const admin = await freePort();
    const { host, bridge } = await startHost({ admin: `127.0.0.1:${admin}` });
    const stopped = host.stop();
    const answer = await fetch(`http://127.0.0.1:${admin}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ ready: false, reasons: ['The bridge is draining.'] });
    bridge.letStop();
    await stopped;
    await expect(fetch(`http://127.0.0.1:${admin}/healthz`)).rejects.toThrow();
  });

  it('does not start a bridge when its address is taken', async () => {
    const taken = createServer();
    await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
    const { port } = taken.address() as AddressInfo;
    const { make, bridge } = hostWith({ admin: `127.0.0.1:${port}` });
    await expect(make().start()).rejects.toMatchObject({
      code: 'TOMBOLO_ADDRESS_IN_USE',
      message: expect.stringMatching(`The admin address of west 127.0.0.1:${port} is in use: stop the process`),
    });
    taken.close();
    expect(bridge.started).toBe(false);
  });

  it('says once that the broker is down, once for each further cause, and once that it is back', async () => {
    const admin = await freePort();
    const { bridge, clock, phrases } = await startHost({ admin: `127.0.0.1:${admin}` });
    const { broker } = viewOf();
    const down = (reason: string) => {
      bridge.shown = viewOf({ broker: { ...broker, up: false, state: 'down', reason } });
      clock.advance(5_000);
    };
    down('connection refused by east-0');
    down('login refused by east-1');
    down('connection refused by east-0');
    expect(phrases().filter((phrase) => phrase === 'broker not connected, trying on')).toHaveLength(2);
    bridge.shown = viewOf();
    clock.advance(5_000);
    expect(phrases().filter((phrase) => phrase === 'broker connected')).toHaveLength(2);
  });

  it('tells of a connection that broke and was there again before anybody looked', async () => {
    const { bridge, phrases } = await startHost({});
    const { broker } = viewOf();
    bridge.shown = viewOf({ broker: { ...broker, up: false, state: 'down', reason: 'the broker dropped it' } });
    bridge.changed();
    bridge.shown = viewOf();
    bridge.changed();
    expect(phrases().slice(-2)).toEqual(['broker not connected, trying on', 'broker connected']);
  });

  it('tells that it is a standby when it stays one, not of the moment between the connection and the lock', async () => {
    const roles = (lines: readonly string[]) => lines.flatMap((line) => JSON.parse(line).role ?? []);
    for (const next of ['master', 'standby'] as const) {
      const { make, bridge, clock, lines } = hostWith({ admin: `127.0.0.1:${await freePort()}` });
      const host = make();
      running.push({ host, bridge });
      bridge.shown = viewOf({ broker: { ...viewOf().broker, up: false, state: 'connecting' } });
      await host.start();
      bridge.shown = viewOf({ role: 'standby' });
      bridge.changed();
      bridge.shown = viewOf({ role: next });
      clock.advance(1_000);
      expect(roles(lines)).toEqual([next]);
    }
  });

  it('does not call a broker missing that was not tried yet, nor one that a stopping bridge has let go', async () => {
    const { bridge, clock, phrases, host } = await startHost({});
    const { broker } = viewOf();
    const down = (reason?: string) => {
      bridge.shown = viewOf({ broker: { ...broker, up: false, state: 'down', reason } });
      bridge.changed();
    };
    down();
    clock.advance(5_000);
    void host.stop();
    down('not connected yet');
    expect(phrases()).not.toContain('broker not connected, trying on');
  });

  it('knows every secret of the topology and every peer', () => {
    const topology = topologyWith({ adminToken: 'token', peers: { east: { secret: 'of-the-pair' } } });
    expect(secretsOf(topology)).toEqual(
      expect.arrayContaining(['pw-of-the-broker', 'secret-of-the-links', 'token', 'of-the-pair']),
    );
    expect(peersOf(topology, 'west')).toEqual(['east']);
    expect(peersOf(topology, 'east')).toEqual(['west']);
  });
});
