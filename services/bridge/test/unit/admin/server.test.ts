import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '@tombolo/kernel/fault';
import { describe, expect, it } from 'vitest';
import { type AdminOptions, createAdminServer, createMetricsServer, listen } from '../../../src/admin/server.ts';
import type { BridgeView } from '../../../src/admin/view.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { Redactor } from '../../../src/telemetry/redactor.ts';
import { demandOf, streamOf, viewOf } from './views.ts';

function options(view: BridgeView, changes: Partial<AdminOptions> = {}) {
  const done: string[] = [];
  const redactor = new Redactor(['hunter22']);
  const all: AdminOptions = {
    view: () => view,
    trace: async (destination) => ({ destination, items: [], conclusion: 'The password is hunter22.' }),
    metrics: new Metrics({ network: 'acme', cluster: 'west', version: '0', peers: ['east'], process: false }),
    operations: {
      pause: (name) => void done.push(`pause ${name}`),
      resume: (name) => void done.push(`resume ${name}`),
      cleanup: async (peer, dryRun) => {
        done.push(`cleanup ${peer}${dryRun ? ' dry' : ''}`);
        return [{ queue: `tombolo.topic.${peer}.events`, messages: 3 }];
      },
    },
    redactor,
    log: createLog({ level: 'silent', redactor }),
    ...changes,
  };
  return { all, done };
}

const get = async (view: BridgeView, url: string) => createAdminServer(options(view).all).inject({ url });

describe('the admin server', () => {
  it('says that the process lives whatever the broker does', async () => {
    const { broker } = viewOf();
    const answer = await get(viewOf({ broker: { ...broker, up: false, state: 'down' } }), '/healthz');
    expect(answer.statusCode).toBe(200);
  });

  it('is ready as master and as standby', async () => {
    expect((await get(viewOf(), '/readyz')).statusCode).toBe(200);
    const { broker } = viewOf();
    const standby = viewOf({ role: 'standby', broker: { ...broker, state: 'standby' } });
    expect((await get(standby, '/readyz')).statusCode).toBe(200);
  });

  it('is not ready without a broker, without a role and while draining, and says why without secrets', async () => {
    const { broker } = viewOf();
    const down = { ...broker, up: false, state: 'down' as const, reason: 'Login with hunter22 failed.' };
    const answer = await get(viewOf({ broker: down }), '/readyz');
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toEqual({ ready: false, reasons: ['Login with *** failed.'] });
    expect((await get(viewOf({ broker: { ...broker, state: 'connecting' } }), '/readyz')).statusCode).toBe(503);
    expect((await get(viewOf({ draining: true }), '/readyz')).json().reasons).toEqual(['The bridge is draining.']);
  });

  it('serves metrics as they are at the scrape, and all labels of the destinations asked for', async () => {
    const view = viewOf({ demand: [demandOf('orders.eu'), demandOf('audit')] });
    const answer = await get(view, '/metrics');
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
    expect(answer.body).toMatch(/tombolo_link_up\{.*peer="east".*\} 1/);
    const detailed = await get(view, '/metrics/detailed?destination=orders.*&destination=x');
    expect(detailed.body).toContain('destination="orders.eu"');
    expect(detailed.body).not.toContain('audit');
    expect((await get(view, '/metrics/detailed')).json()).toMatchObject({ error: 'bad_request' });
  });

  it('serves the status without the tables', async () => {
    const answer = (await get(viewOf({ demand: [demandOf('q')] }), '/api/v1/status')).json();
    expect(answer).toMatchObject({
      cluster: 'west',
      role: 'master',
      readiness: { ready: true },
      totals: { demand: 1 },
    });
    expect(answer.demand).toBeUndefined();
  });

  it('serves a trace of one destination, without secrets, and refuses to guess which', async () => {
    expect((await get(viewOf(), '/api/v1/trace?destination=orders%20eu')).json()).toEqual({
      destination: 'orders eu',
      items: [],
      conclusion: 'The password is ***.',
    });
    expect((await get(viewOf(), '/api/v1/trace')).statusCode).toBe(400);
  });

  it('serves tables by pages and by destination', async () => {
    const names = Array.from({ length: 250 }, (_, i) => `q${String(i).padStart(3, '0')}`);
    const view = viewOf({ demand: names.map((name) => demandOf(name)), streams: [streamOf('a'), streamOf('b')] });
    const first = (await get(view, '/api/v1/demand')).json();
    expect([first.total, first.page, first.pageSize, first.items.length]).toEqual([250, 1, 100, 100]);
    const third = (await get(view, '/api/v1/demand?page=3')).json();
    expect(third.items.map((item: { destination: string }) => item.destination)[0]).toBe('q200');
    expect(third.items).toHaveLength(50);
    expect((await get(view, '/api/v1/streams?destination=b')).json()).toMatchObject({
      total: 1,
      items: [{ last: 100 }],
    });
    expect((await get(view, '/api/v1/demand?page=0')).statusCode).toBe(400);
  });

  it('answers what is not there with an error and a message', async () => {
    const answer = await get(viewOf(), '/api/v2');
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toEqual({ error: 'not_found', message: 'There is nothing at GET /api/v2.' });
  });

  it('pauses and resumes a connector', async () => {
    const { all, done } = options(viewOf());
    const server = createAdminServer(all);
    const answer = await server.inject({ method: 'POST', url: '/api/v1/connectors/west-to-east/pause' });
    expect(answer.statusCode).toBe(200);
    await server.inject({ method: 'POST', url: '/api/v1/connectors/west-to-east/resume' });
    expect(done).toEqual(['pause west-to-east', 'resume west-to-east']);
  });

  it('names the nearest connector when there is none of that name', async () => {
    const { all } = options(viewOf());
    const answer = await createAdminServer(all).inject({
      method: 'POST',
      url: '/api/v1/connectors/west-to-eats/pause',
    });
    expect(answer.statusCode).toBe(404);
    expect(answer.json().message).toContain('did you mean "west-to-east"?');
  });

  it('refuses operations on a standby and says who is master', async () => {
    const { all, done } = options(viewOf({ role: 'standby', roleReason: 'west-1 is master' }));
    const answer = await createAdminServer(all).inject({
      method: 'POST',
      url: '/api/v1/connectors/west-to-east/pause',
    });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ error: 'not_master', message: expect.stringContaining('west-1 is master') });
    expect(done).toEqual([]);
  });

  it('wants the token for operations when there is one, and for nothing else', async () => {
    const { all, done } = options(viewOf(), { adminToken: 'correct horse' });
    const server = createAdminServer(all);
    const post = { method: 'POST', url: '/api/v1/connectors/west-to-east/pause' } as const;
    expect((await server.inject(post)).statusCode).toBe(401);
    expect((await server.inject({ ...post, headers: { authorization: 'Bearer wrong' } })).statusCode).toBe(401);
    expect(done).toEqual([]);
    const right = await server.inject({ ...post, headers: { authorization: 'Bearer correct horse' } });
    expect(right.statusCode).toBe(200);
    expect((await server.inject('/api/v1/status')).statusCode).toBe(200);
  });

  it('takes no operation from a page of another site', async () => {
    const post = { method: 'POST', url: '/api/v1/connectors/west-to-east/pause' } as const;
    const server = createAdminServer(options(viewOf()).all);
    const headers = { origin: 'https://evil.example', host: '127.0.0.1:7461' };
    expect((await server.inject({ ...post, headers })).statusCode).toBe(403);
    expect(
      (await server.inject({ ...post, headers: { ...headers, origin: 'http://127.0.0.1:7461' } })).statusCode,
    ).toBe(200);
  });

  it('serves health and metrics alone on the address for metrics', async () => {
    const server = createMetricsServer(options(viewOf()).all);
    for (const url of ['/healthz', '/readyz', '/metrics']) expect((await server.inject(url)).statusCode).toBe(200);
    expect((await server.inject('/api/v1/status')).statusCode).toBe(404);
  });

  it('names the address and what to do when the port is taken', async () => {
    const taken = createServer();
    await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
    const { port } = taken.address() as AddressInfo;
    const server = createAdminServer(options(viewOf()).all);
    const failure = await listen(server, { host: '127.0.0.1', port }, 'bridge.admin').catch(
      (thrown: unknown) => thrown,
    );
    taken.close();
    expect(failure).toBeInstanceOf(Fault);
    expect(failure).toMatchObject({
      code: 'TOMBOLO_ADDRESS_IN_USE',
      message: expect.stringContaining(`bridge.admin 127.0.0.1:${port} is in use`),
    });
  });

  it('cleans up for a peer that is away, and refuses while it is linked', async () => {
    const body = { peer: 'east', dryRun: false };
    const linked = options(viewOf());
    const refused = await createAdminServer(linked.all).inject({
      method: 'POST',
      url: '/api/v1/cleanup',
      payload: body,
    });
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({ error: 'peer_linked' });
    expect(linked.done).toEqual([]);
    const away = options(viewOf({ links: [] }));
    const answer = await createAdminServer(away.all).inject({ method: 'POST', url: '/api/v1/cleanup', payload: body });
    expect(answer.json()).toEqual({ items: [{ queue: 'tombolo.topic.east.events', messages: 3 }] });
    expect(away.done).toEqual(['cleanup east']);
  });
});
