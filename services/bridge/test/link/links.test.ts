import { connect, type Socket } from 'node:net';
import { awaitUntil } from '@tombolo/testing/await-until';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { freePorts } from '@tombolo/testing/free-port';
import type { MessagesFrame } from '@tombolo/wire/frame';
import { afterEach, describe, expect, it } from 'vitest';
import { LoopbackHub } from '../../src/link/loopback-link.ts';
import { local, messagesOf, peerOf, type Site, siteOf, testPolicy } from './site.ts';

const running: Site[] = [];
const proxies: FlakyProxy[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((site) => site.links.stop('The test is over.')));
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

async function started(site: Site): Promise<Site> {
  running.push(site);
  await site.links.start();
  return site;
}

async function proxyTo(site: Site): Promise<FlakyProxy> {
  const proxy = await FlakyProxy.to(site.links.port!);
  proxies.push(proxy);
  return proxy;
}

/** East listens, west dials it. */
async function pair(through = false) {
  const east = await started(siteOf('east', { listen: local, peers: [peerOf('west', undefined)] }));
  const proxy = through ? await proxyTo(east) : undefined;
  const west = await started(siteOf('west', { peers: [peerOf('east', proxy?.port ?? east.links.port)] }));
  await bothUp(west, east);
  return { east, west, proxy };
}

async function bothUp(west: Site, east: Site): Promise<void> {
  await awaitUntil('both ends are up', () => west.links.isUp('east') && east.links.isUp('west'));
}

describe('links over sockets', () => {
  it('come up, carry frames both ways in order, and say goodbye', async () => {
    const { east, west } = await pair();
    expect(west.ups).toMatchObject([{ peer: 'east', instance: 'east-0', incarnation: 1, protocolVersion: 1 }]);
    for (let count = 1; count <= 500; count++) {
      expect(west.links.sendData('east', messagesOf(count, 1_000))).toBe(true);
      expect(east.links.send('west', { kind: 'digest', incarnation: 1, count, digest: 'x' })).toBe(true);
    }
    await awaitUntil('all has arrived', () => east.frames.length === 500 && west.frames.length === 500);
    expect(east.frames.map(({ frame }) => (frame as MessagesFrame).messages[0]!.sequence)).toEqual(
      Array.from({ length: 500 }, (_, i) => i + 1),
    );
    await awaitUntil('the round trip is known', () => west.links.views()[0]!.roundTripMs !== undefined);
    expect(west.links.views()[0]).toMatchObject({ peer: 'east', up: true, protocolVersion: 1, reconnects: 0 });

    await west.links.stop('Bridge west-0 stops for maintenance.');
    await awaitUntil('east knows', () => east.downs.length === 1);
    expect(east.downs[0]!.reason).toContain('stops for maintenance');
  });

  it('flush what was sent before a stop', async () => {
    const { east, west } = await pair();
    for (let count = 0; count < 200; count++) {
      west.links.send('east', { kind: 'digest', incarnation: 1, count, digest: 'x'.repeat(200) });
    }
    await west.links.stop('over');
    await awaitUntil('all has arrived', () => east.frames.length === 200);
  });

  it('are refused for a wrong secret, with the reason on both sides, logged once', async () => {
    const east = await started(siteOf('east', { listen: local, peers: [peerOf('west', undefined, ['other'])] }));
    const west = await started(siteOf('west', { peers: [peerOf('east', east.links.port)] }));
    await awaitUntil('it was tried several times', () => (east.links.counters()[0]!.refused.get('secret') ?? 0) >= 4);
    for (const site of [east, west]) {
      expect(site.links.views()[0]!.reason).toContain('do not hold the same secret');
      expect(site.logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
      expect(JSON.stringify(site.logged)).not.toMatch(/s3cret|"other"/);
    }
    expect(west.ups).toEqual([]);
    expect(east.ups).toEqual([]);
  });

  it('do not say more than hello to a stranger, and turn noise away', async () => {
    const { east } = await pair();
    const socket: Socket = connect(east.links.port!, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /link HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n');
    socket.write('sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    socket.write(Buffer.from([0x82, 0x84, 0, 0, 0, 0, 1, 2, 3, 4]));
    socket.resume();
    await awaitUntil('it is closed', () => socket.closed);
    expect(east.links.isUp('west')).toBe(true);
    expect(
      east.links
        .counters()
        .find(({ peer }) => peer === '')!
        .refused.get('protocol'),
    ).toBe(1);
    socket.destroy();
  });

  it('that are cut are up again at once', async () => {
    const { east, west, proxy } = await pair(true);
    await new Promise((resolve) => setTimeout(resolve, testPolicy.heartbeatMs));
    const cutAt = performance.now();
    proxy!.cut();
    await awaitUntil('up again', () => west.ups.length === 2 && east.ups.length === 2);
    expect(performance.now() - cutAt).toBeLessThan(1_000);
    expect(west.downs).toHaveLength(1);
    expect(west.links.views()[0]!.reconnects).toBe(1);
    await bothUp(west, east);
    west.links.send('east', { kind: 'snapshot-request' });
    await awaitUntil('frames pass again', () => east.frames.length === 1);
  });

  it('notice a peer that went silent without closing, and recover when it is back', async () => {
    const { east, west, proxy } = await pair(true);
    proxy!.freeze();
    await awaitUntil('both have noticed', () => west.downs.length === 1 && east.downs.length === 1);
    expect(west.downs[0]!.reason).toContain('Nothing was heard');
    proxy!.thaw();
    await bothUp(west, east);
  });

  it('carry a message of 20 MiB while heartbeats and control pass', async () => {
    const { east, west, proxy } = await pair(true);
    proxy!.delay(20);
    expect(west.links.sendData('east', messagesOf(1, 20 * 1024 * 1024))).toBe(true);
    west.links.send('east', { kind: 'snapshot-request' });
    await awaitUntil('both have arrived', () => east.frames.length === 2, { withinMs: 30_000 });
    expect(east.frames[0]!.frame.kind).toBe('snapshot-request');
    expect((east.frames[1]!.frame as MessagesFrame).messages[0]!.body.length).toBe(20 * 1024 * 1024);
    expect(west.downs).toEqual([]);
    expect(east.downs).toEqual([]);
  });

  it('take data only as far as the peer consumes it, and say when it goes on', async () => {
    const { east, west } = await pair();
    east.consumes = false;
    const size = 1024 * 1024;
    let taken = 0;
    await awaitUntil('the first grant came', () => {
      while (taken < 100 && west.links.sendData('east', messagesOf(taken + 1, size))) taken++;
      return taken >= 10;
    });
    expect(taken).toBeLessThan(17);
    await awaitUntil('all that was taken has come', () => east.frames.length === taken);
    expect(west.links.send('east', { kind: 'snapshot-request' })).toBe(true);
    await awaitUntil('control passes all the same', () => east.frames.length === taken + 1);

    const before = west.writable;
    for (const { consumed } of east.frames) consumed();
    await awaitUntil('it may go on', () => west.writable > before);
    expect(west.links.sendData('east', messagesOf(taken + 1, size))).toBe(true);
  });

  it('go to the next address at once when a standby answers', async () => {
    const standby = siteOf('east', { listen: local, peers: [peerOf('west', undefined)], instance: 'east-1' });
    standby.role = 'standby';
    await started(standby);
    const east = await started(siteOf('east', { listen: local, peers: [peerOf('west', undefined)] }));
    const uris = [standby, east].map((site) => `ws://127.0.0.1:${site.links.port}/`);
    const policy = { ...testPolicy, fastMs: 60_000, backoff: { baseMs: 60_000, capMs: 60_000 } };
    const west = await started(siteOf('west', { peers: [{ ...peerOf('east', 1), uris }], policy }));
    await bothUp(west, east);
    expect(west.ups).toMatchObject([{ instance: 'east-0' }]);

    expect((await fetch(`http://127.0.0.1:${east.links.port}/master`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${standby.links.port}/master`)).status).toBe(503);
    expect((await fetch(`http://127.0.0.1:${east.links.port}/`)).status).toBe(426);
  });

  it('say of each standby once that it is one, however often its turn comes while there is no master', async () => {
    const standby = (instance: string) =>
      siteOf('east', { listen: local, peers: [peerOf('west', undefined)], instance });
    const [one, two] = [standby('east-1'), standby('east-2')];
    for (const site of [one, two]) site.role = 'standby';
    await Promise.all([started(one), started(two)]);
    const uris = [one, two].map((site) => `ws://127.0.0.1:${site.links.port}/`);
    const policy = { ...testPolicy, backoff: { baseMs: 5, capMs: 5 } };
    const west = await started(siteOf('west', { peers: [{ ...peerOf('east', 1), uris }], policy }));
    const refusals = () => west.links.counters()[0]?.refused.get('standby') ?? 0;
    await awaitUntil('each had its turn five times', () => refusals() >= 10);
    expect(west.logged.filter(({ level }) => level === 'warn')).toHaveLength(2);
    two.role = 'master';
    two.links.roleChanged();
    await bothUp(west, two);
    two.role = 'standby';
    two.links.roleChanged();
    await awaitUntil('it is said anew', () => west.logged.filter(({ level }) => level === 'warn').length > 2);
  });

  it('end when the bridge becomes a standby, and come back when it is master again', async () => {
    const { east, west } = await pair();
    east.role = 'standby';
    east.links.roleChanged();
    await awaitUntil('west knows', () => west.downs.length === 1);
    expect(west.downs[0]!.reason).toContain('standby');
    east.role = 'master';
    east.links.roleChanged();
    await bothUp(west, east);
  });

  it('that both sides dial end as one, without flapping', async () => {
    const [one, two] = (await freePorts(2)) as [number, number];
    for (let round = 0; round < 5; round++) {
      const west = siteOf('west', { listen: { ...local, port: one }, peers: [peerOf('east', two)] });
      const east = siteOf('east', { listen: { ...local, port: two }, peers: [peerOf('west', one)] });
      await Promise.all([started(west), started(east)]);
      await bothUp(west, east);
      const ups = west.ups.length;
      await new Promise((resolve) => setTimeout(resolve, 2 * testPolicy.heartbeatMs));
      expect(west.ups.length).toBe(ups);
      expect(ups).toBe(1);
      expect(east.ups.length).toBe(1);
      west.links.send('east', { kind: 'snapshot-request' });
      east.links.send('west', { kind: 'snapshot-request' });
      await awaitUntil('it carries both ways', () => west.frames.length === 1 && east.frames.length === 1);
      await Promise.all(running.splice(0).map((site) => site.links.stop('over')));
    }
  });

  it('give way to a successor with a higher incarnation, and refuse its predecessor', async () => {
    const east = await started(siteOf('east', { listen: local, peers: [peerOf('west', undefined)] }));
    const old = await started(siteOf('west', { peers: [peerOf('east', east.links.port)] }));
    await bothUp(old, east);
    const successor = siteOf('west', { peers: [peerOf('east', east.links.port)], instance: 'west-1' });
    successor.incarnation = 2;
    await started(successor);
    await awaitUntil('the successor is in', () => east.ups.at(-1)?.instance === 'west-1');
    await awaitUntil('the old one is told', () => old.seen.includes(2));
    expect(old.links.views()[0]!.reason).toContain('higher incarnation');
    expect(east.links.isUp('west')).toBe(true);
  });

  it('follow a changed file: a peer that is gone is closed, one that stays is not disturbed', async () => {
    const { east, west } = await pair();
    const peers = [peerOf('west', undefined, ['new', 's3cret']), peerOf('north', undefined)];
    east.links.setPeers(peers);
    await new Promise((resolve) => setTimeout(resolve, testPolicy.heartbeatMs));
    expect(east.downs).toEqual([]);
    expect(east.links.views().map(({ peer }) => peer)).toEqual(['west', 'north']);
    east.links.setPeers(peers.slice(1));
    await awaitUntil('west knows', () => west.downs.length === 1);
    await awaitUntil('west is told why', () => west.links.views()[0]!.reason?.includes('no networkConnector'));
  });

  it('cannot listen where another process does, and say so', async () => {
    const { east } = await pair();
    const second = siteOf('east', { listen: { ...local, port: east.links.port! } });
    await expect(second.links.start()).rejects.toMatchObject({
      code: 'TOMBOLO_ADDRESS_IN_USE',
      message: expect.stringContaining(`127.0.0.1:${east.links.port}`),
    });
  });
});

describe('links within a process', () => {
  it('come up without a socket, pass frames as they are, in order and later', async () => {
    const loopback = new LoopbackHub();
    const west = await started(siteOf('west', { loopback, peers: [peerOf('east', undefined)] }));
    const east = await started(siteOf('east', { loopback, peers: [peerOf('west', undefined)] }));
    await bothUp(west, east);
    const frames = Array.from({ length: 20 }, (_, i) => messagesOf(i + 1, 10));
    for (const frame of frames) west.links.sendData('east', frame);
    expect(east.frames).toEqual([]);
    await awaitUntil('all has arrived', () => east.frames.length === 20);
    expect(east.frames.every(({ frame }, i) => frame === frames[i])).toBe(true);

    await east.links.stop('over');
    await awaitUntil('west knows', () => west.downs.length === 1);
  });

  it('bound what is not consumed', async () => {
    const loopback = new LoopbackHub();
    const west = await started(siteOf('west', { loopback, peers: [peerOf('east', undefined)] }));
    const east = await started(siteOf('east', { loopback, peers: [peerOf('west', undefined)] }));
    await bothUp(west, east);
    east.consumes = false;
    let taken = 0;
    while (taken < 100 && west.links.sendData('east', messagesOf(taken + 1, 1024 * 1024))) taken++;
    expect(taken).toBe(15);
    await awaitUntil('they came', () => east.frames.length === taken);
    east.frames[0]!.consumed();
    await awaitUntil('it may go on', () => west.writable === 1);
  });
});
