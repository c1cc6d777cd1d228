import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '@tombolo/kernel/fault';
import { describe, expect, it } from 'vitest';
import type { DrainCheck } from '../../../src/admin/drain-check.ts';
import type { AdminOptions } from '../../../src/admin/routes.ts';
import { createAdminServer, createMetricsServer, listen } from '../../../src/admin/server.ts';
import type { BridgeView } from '../../../src/admin/view.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { Redactor } from '../../../src/telemetry/redactor.ts';
import { Description } from './described.ts';
import { demandOf, streamOf, surveyOf, viewOf } from './views.ts';

const emptied: DrainCheck = {
  ...{ cluster: 'west', draining: true, left: false, complete: true, items: [] },
  ageMs: { ready: 0, unacknowledged: 0 },
  notes: [],
};

function options(view: BridgeView, changes: Partial<AdminOptions> = {}) {
  const done: string[] = [];
  const redactor = new Redactor(['hunter22']);
  const all: AdminOptions = {
    view: () => view,
    trace: async (destination) => ({ destination, items: [], conclusion: 'The password is hunter22.' }),
    survey: async () => surveyOf(view),
    metrics: new Metrics({ network: 'acme', cluster: 'west', version: '0', peers: ['east'], process: false }),
    operations: {
      pause: (name) => void done.push(`pause ${name}`),
      resume: (name) => void done.push(`resume ${name}`),
      cleanup: async (peer, dryRun) => {
        done.push(`cleanup ${peer}${dryRun ? ' dry' : ''}`);
        return [{ queue: `tombolo.topic.${peer}.events`, messages: 3 }];
      },
      deadLetters: {
        list: async (selection, page, pageSize) => ({ selection, page, pageSize, items: [{ id: 'hunter22' }] }),
        replay: async (selection, dryRun) => {
          done.push(`replay ${JSON.stringify(selection)}${dryRun ? ' dry' : ''}`);
          return { selected: 2, replayed: 1, kept: [{ queue: 'q', why: 'there is no such queue', messages: 1 }] };
        },
        drop: async () => {
          throw new Fault('TOMBOLO_QUEUE_REFUSED', 'It is a quorum queue.');
        },
      },
      drain: async (scope) => {
        done.push(`drain ${scope}`);
        return [{ destination: 'q', peer: 'east', messages: 2 }];
      },
      undrain: async (scope) => void done.push(`undrain ${scope}`),
      checkDrain: async () => ({ ...emptied, notes: ['The password is hunter22.'] }),
      release: (peer, dryRun) => {
        if (peer === 'near') return 'reachable';
        done.push(`release ${peer}${dryRun ? ' dry' : ''}`);
        return [{ destination: 'q', messages: 5, mayBeDoubled: 4 }];
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
    expect((await get(view, '/api/v1/demand?search=Q00&pageSize=5')).json()).toMatchObject({ total: 10, page: 1 });
    const waiting = viewOf({
      demand: [demandOf('a'), demandOf('b', { unserved: 'no_route' })],
      streams: [streamOf('a'), streamOf('b', { blockedBy: 'nobody consumes' })],
    });
    for (const table of ['demand', 'streams']) {
      const rows = async (stuck: boolean) => (await get(waiting, `/api/v1/${table}?stuck=${stuck}`)).json().items;
      expect(await rows(true)).toMatchObject([{ destination: 'b' }]);
      expect(await rows(false)).toMatchObject([{ destination: 'a' }]);
    }
  });

  it('answers what fails with problem details', async () => {
    const answer = await get(viewOf(), '/api/v2');
    expect(answer.statusCode).toBe(404);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    const text = 'There is nothing at GET /api/v2.';
    expect(answer.json()).toEqual({
      type: 'urn:tombolo:problem:not_found',
      title: 'There is nothing at this address',
      status: 404,
      detail: text,
      error: 'not_found',
      message: text,
    });
  });

  it('refuses an operation with a slip in the name of a field, which would not be a dry run', async () => {
    const { all, done } = options(viewOf({ links: [] }));
    const server = createAdminServer(all);
    const payload = { peer: 'east', dryrun: true };
    const answer = await server.inject({ method: 'POST', url: '/api/v1/cleanup', payload });
    expect([answer.statusCode, answer.json().detail]).toEqual([
      400,
      'body: there is no field "dryrun"; did you mean "dryRun"?.',
    ]);
    expect(done).toEqual([]);
    const query = await server.inject('/api/v1/demand?destnation=q&page=0');
    expect(query.json().mistakes).toHaveLength(2);
    expect(query.json().detail).toContain('there is no parameter "destnation"; did you mean "destination"?');
    const scope = await server.inject({ method: 'POST', url: '/api/v1/drain', payload: { scope: 'world' } });
    expect(scope.json().mistakes).toEqual([{ at: 'body/scope', message: 'must be one of process, cluster' }]);
  });

  it('answers 429 to an address that asks too often, and health and metrics always', async () => {
    const server = createAdminServer(options(viewOf()).all);
    const many = async (url: string, method: 'GET' | 'POST' = 'GET') => {
      const answers = await Promise.all(Array.from({ length: 401 }, () => server.inject({ method, url })));
      return answers.filter(({ statusCode }) => statusCode === 429);
    };
    expect(await many('/healthz')).toEqual([]);
    expect(await many('/metrics')).toEqual([]);
    const [refused] = await many('/api/v1/status');
    expect(refused?.json()).toMatchObject({ error: 'too_many_requests', status: 429 });
    expect(refused?.headers['retry-after']).toBe('1');
  });

  it('lets nobody try tokens quickly', async () => {
    const { all, done } = options(viewOf(), { adminToken: 'correct horse' });
    const server = createAdminServer(all);
    const guess = (guessed: number) =>
      server.inject({
        method: 'POST',
        url: '/api/v1/connectors/west-to-east/pause',
        headers: { authorization: `Bearer ${guessed}` },
      });
    const statuses = (await Promise.all(Array.from({ length: 60 }, (_, i) => guess(i)))).map((each) => each.statusCode);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
    expect(statuses.filter((status) => status !== 429 && status !== 401)).toEqual([]);
    expect(done).toEqual([]);
  });

  it('tells browsers to run nothing but its own files, and to show it in no frame', async () => {
    for (const url of ['/', '/api/v1/status', '/documentation/static/index.html', '/healthz', '/nothing']) {
      const { headers } = await get(viewOf(), url);
      expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-frame-options']).toBe('DENY');
    }
  });

  it('answers to no name but localhost without a token, so that no other site can pass for this one', async () => {
    const at = async (host: string, adminToken?: string) => {
      const server = createAdminServer(options(viewOf(), { adminToken }).all);
      return (await server.inject({ url: '/api/v1/status', headers: { host } })).statusCode;
    };
    expect(await at('evil.example:7461')).toBe(403);
    for (const host of ['127.0.0.1:7461', 'localhost:7461', '[::1]:7461']) expect(await at(host)).toBe(200);
    expect(await at('tombolo.example', 'token')).toBe(200);
    const probe = await createAdminServer(options(viewOf()).all).inject({
      url: '/healthz',
      headers: { host: 'pod.x' },
    });
    expect(probe.statusCode).toBe(200);
  });

  it('says who is the master, where that is known', async () => {
    const election = { type: 'redis', holder: 'west-1', leaseRemainingMs: 2_000 };
    const answer = await post(viewOf({ role: 'standby', election }), '/api/v1/release', { peer: 'far' });
    expect(answer).toMatchObject({ status: 409, body: { error: 'not_master', master: 'west-1' } });
  });

  it('describes every route, and answers as it is described', async () => {
    const view = viewOf({ demand: [demandOf('q')], streams: [streamOf('q')] });
    const { all } = options(view);
    const server = createAdminServer(all);
    const description = new Description((await server.inject('/documentation/json')).json());
    const { operations } = description;
    for (const { path, operation } of operations) {
      expect([path, operation.summary]).toEqual([path, expect.stringMatching(/\.$/)]);
      const status = operation.responses['200']?.content ?? {};
      expect([path, Object.keys(status)]).toEqual([path, [/metrics/.test(path) ? 'text/plain' : 'application/json']]);
    }
    const operating = operations
      .filter(({ operation }) => operation.security)
      .map(({ method, path }) => `${method} ${path}`);
    expect(operating).toEqual(
      operations.filter(({ method }) => method === 'POST').map(({ method, path }) => `${method} ${path}`),
    );
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      'GET /api/v1/brokers',
      'GET /api/v1/dead-letters',
      'GET /api/v1/demand',
      'GET /api/v1/drain',
      'GET /api/v1/network',
      'GET /api/v1/status',
      'GET /api/v1/streams',
      'GET /api/v1/trace',
      'GET /healthz',
      'GET /metrics',
      'GET /metrics/detailed',
      'GET /readyz',
      'POST /api/v1/cleanup',
      'POST /api/v1/connectors/{name}/pause',
      'POST /api/v1/connectors/{name}/resume',
      'POST /api/v1/dead-letters/drop',
      'POST /api/v1/dead-letters/replay',
      'POST /api/v1/drain',
      'POST /api/v1/release',
      'POST /api/v1/resume',
    ]);
    const posted = async (path: string, payload: object, template = path) => {
      const answer = await server.inject({ method: 'POST', url: path, payload });
      return description.complaints('post', template, answer.statusCode, answer.json());
    };
    expect(await posted('/api/v1/drain', { scope: 'process' })).toEqual([]);
    expect(await posted('/api/v1/resume', { scope: 'process' })).toEqual([]);
    expect(await posted('/api/v1/release', { peer: 'far' })).toEqual([]);
    expect(await posted('/api/v1/release', { peer: 'near' })).toEqual([]);
    expect(await posted('/api/v1/release', { pear: 'near' })).toEqual([]);
    expect(await posted('/api/v1/dead-letters/replay', { all: true })).toEqual([]);
    expect(await posted('/api/v1/connectors/west-to-east/pause', {}, '/api/v1/connectors/{name}/pause')).toEqual([]);
    for (const path of [
      '/healthz',
      '/readyz',
      '/api/v1/status',
      '/api/v1/demand',
      '/api/v1/streams',
      '/api/v1/network',
    ])
      expect(description.complaints('get', path, 200, (await server.inject(path)).json())).toEqual([]);
    expect(description.complaints('get', '/api/v1/status', 200, { cluster: 5, odd: 1 })).not.toEqual([]);
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

  it('lists, replays and drops dead letters as the desk has them, and tells why it cannot', async () => {
    const { all, done } = options(viewOf());
    const server = createAdminServer(all);
    const post = (what: string, payload: object) =>
      server.inject({ method: 'POST', url: `/api/v1/dead-letters/${what}`, payload });
    const listed = await server.inject('/api/v1/dead-letters?destination=orders&page=2');
    const asked = { selection: { destination: 'orders' }, page: 2, pageSize: 100 };
    expect(listed.json()).toEqual({ ...asked, items: [{ id: '***' }] });
    const replayed = await post('replay', { peer: 'east', dryRun: true });
    expect(replayed.json()).toMatchObject({ selected: 2, replayed: 1, kept: [{ queue: 'q' }] });
    await post('replay', { all: true });
    expect(done).toEqual(['replay {"peer":"east"} dry', 'replay {}']);
    const refused = await post('drop', { id: 'a.1' });
    expect([refused.statusCode, refused.json().message]).toEqual([409, 'It is a quorum queue.']);
  });

  it('touches no dead letter without a selection, without the token, or on a standby', async () => {
    const { all, done } = options(viewOf(), { adminToken: 'correct horse' });
    const headers = { authorization: 'Bearer correct horse' };
    const post = { method: 'POST', url: '/api/v1/dead-letters/replay' } as const;
    const server = createAdminServer(all);
    expect((await server.inject({ ...post, payload: {}, headers })).json()).toMatchObject({
      error: 'nothing_selected',
    });
    expect((await server.inject({ ...post, payload: { all: true } })).statusCode).toBe(401);
    const standby = createAdminServer(options(viewOf({ role: 'standby' })).all);
    expect((await standby.inject({ ...post, payload: { all: true } })).statusCode).toBe(409);
    expect((await standby.inject('/api/v1/dead-letters')).statusCode).toBe(409);
    expect(done).toEqual([]);
  });

  const post = (view: BridgeView, url: string, payload: object, changes: Partial<AdminOptions> = {}) => {
    const { all, done } = options(view, changes);
    return createAdminServer(all)
      .inject({ method: 'POST', url, payload })
      .then((answer) => ({ status: answer.statusCode, body: answer.json(), done }));
  };
  const standby = viewOf({ role: 'standby', roleReason: 'west-1 is master' });

  it('drains the process, master or standby, and says what was not settled in time', async () => {
    const drained = await post(viewOf(), '/api/v1/drain', { scope: 'process' });
    expect(drained).toMatchObject({ status: 200, done: ['drain process'] });
    expect(drained.body.left).toEqual([{ destination: 'q', peer: 'east', messages: 2 }]);
    expect((await post(standby, '/api/v1/drain', { scope: 'process' })).status).toBe(200);
    expect((await post(standby, '/api/v1/resume', { scope: 'process' })).done).toEqual(['undrain process']);
  });

  it('drains the cluster at the master only, and tells what is drained afterwards', async () => {
    const drains = [{ scope: 'cluster' as const, text: 'Cluster west is drained.' }];
    const drained = await post(viewOf({ drains }), '/api/v1/drain', { scope: 'cluster' });
    expect(drained).toMatchObject({ status: 200, body: { drains }, done: ['drain cluster'] });
    for (const what of ['drain', 'resume']) {
      const refused = await post(standby, `/api/v1/${what}`, { scope: 'cluster' });
      expect(refused).toMatchObject({ status: 409, body: { error: 'not_master' }, done: [] });
      expect(refused.body.message).toContain('west-1 is master');
    }
    expect((await post(viewOf(), '/api/v1/resume', { scope: 'cluster' })).done).toEqual(['undrain cluster']);
    expect((await post(viewOf(), '/api/v1/drain', { scope: 'world' })).status).toBe(400);
    expect((await post(viewOf(), '/api/v1/drain', {})).status).toBe(400);
  });

  it('says why the cluster cannot be drained, without secrets', async () => {
    const { operations } = options(viewOf()).all;
    const failing = { ...operations, drain: async () => Promise.reject(new Error('hunter22 was refused')) };
    const answer = await post(viewOf(), '/api/v1/drain', { scope: 'cluster' }, { operations: failing });
    expect(answer).toMatchObject({ status: 503, body: { error: 'not_drained', message: '*** was refused' } });
  });

  it('says at the master whether anything is left, and that it is not known when the broker cannot be asked', async () => {
    expect((await get(viewOf(), '/api/v1/drain')).json()).toEqual({ ...emptied, notes: ['The password is ***.'] });
    expect((await get(standby, '/api/v1/drain')).statusCode).toBe(409);
    const { all } = options(viewOf());
    const failing = { ...all.operations, checkDrain: async () => Promise.reject(new Error('no broker')) };
    const answer = await createAdminServer({ ...all, operations: failing }).inject('/api/v1/drain');
    expect([answer.statusCode, answer.json().message]).toEqual([503, 'What is left is not known: no broker']);
  });

  it('releases what is held for a peer, or only says what that is, and refuses while the peer is there', async () => {
    const released = await post(viewOf(), '/api/v1/release', { peer: 'far' });
    expect(released).toMatchObject({ status: 200, done: ['release far'] });
    expect(released.body.items).toEqual([{ destination: 'q', messages: 5, mayBeDoubled: 4 }]);
    expect((await post(viewOf(), '/api/v1/release', { peer: 'far', dryRun: true })).done).toEqual(['release far dry']);
    const refused = await post(viewOf(), '/api/v1/release', { peer: 'near' });
    expect(refused).toMatchObject({ status: 409, body: { error: 'peer_linked' }, done: [] });
    expect((await post(standby, '/api/v1/release', { peer: 'far' })).status).toBe(409);
  });

  it('wants the token for draining and releasing, and not for looking', async () => {
    const { all, done } = options(viewOf(), { adminToken: 'correct horse' });
    const server = createAdminServer(all);
    for (const url of ['/api/v1/drain', '/api/v1/resume'])
      expect((await server.inject({ method: 'POST', url, payload: { scope: 'process' } })).statusCode).toBe(401);
    const release = { method: 'POST', url: '/api/v1/release', payload: { peer: 'far' } } as const;
    expect((await server.inject(release)).statusCode).toBe(401);
    expect(done).toEqual([]);
    expect((await server.inject('/api/v1/drain')).statusCode).toBe(200);
  });
});
