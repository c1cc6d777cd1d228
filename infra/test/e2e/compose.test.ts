import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import { rabbitMissing } from '@tombolo/testing/rabbitmq';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { composeFolder, interpolated, type Service, servicesOf } from '../compose-file.ts';
import { buildImage, type Image, removeImage, root } from '../image.ts';

const folder = mkdtempSync(join(tmpdir(), 'tombolo-compose-'));
const dockerfile = join(root, 'infra/docker/Dockerfile');
let image: Image;

beforeAll(async () => {
  const [, version = ''] = /^FROM node:([\d.]+)/m.exec(readFileSync(dockerfile, 'utf8')) ?? [];
  const node = execFileSync(join(root, 'infra/tools/fetch-node.sh'), [version], { encoding: 'utf8' }).trim();
  image = await buildImage(dockerfile, node);
}, 300_000);
afterAll(async () => {
  if (image) await removeImage(image);
  rmSync(folder, { recursive: true, force: true });
});

/** A path inside a container, on this machine. */
const inside = (path: string): string => (path.startsWith('/') ? join(image.folder, path) : path);

/** What a container of the image would run, with these arguments instead of its command. */
function commandLine(entrypoint: readonly string[], args: readonly string[]): [string, string[]] {
  const [program = '', ...rest] = entrypoint;
  return [program === 'node' ? inside('/usr/local/bin/node') : inside(program), [...rest.map(inside), ...args]];
}

/** Runs the command of the image to its end. */
function tombolo(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { cwd: inside(image.workdir), env: { ...image.environment, ...env } };
    execFile(...commandLine(image.entrypoint, args), options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe('the image', () => {
  const files = (): string[] =>
    readdirSync(join(image.folder, 'opt'), { recursive: true }).map((path) => join(image.folder, 'opt', String(path)));

  it('holds the command with its production dependencies, and nothing else', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean; link?: boolean }>;
    };
    const installed = Object.keys(
      (JSON.parse(readFileSync(inside('/opt/tombolo/node_modules/.package-lock.json'), 'utf8')) as { packages: object })
        .packages,
    ).filter((path) => path.startsWith('node_modules/'));
    expect(installed).toContain('node_modules/fastify');
    expect(installed.filter((path) => packages[path]?.dev)).toEqual([]);
    const ours = files().filter((path) => !path.includes('/node_modules/'));
    expect(ours.filter((path) => /\.(ts|map|tsbuildinfo)$|\/test$/.test(path))).toEqual([]);
  });

  it('has no link that leads nowhere, and no file that its user may not read', () => {
    const unreadable = files().filter((path) => {
      const { mode } = lstatSync(path);
      return !existsSync(path) || (mode & 0o004) === 0;
    });
    expect(unreadable).toEqual([]);
  });

  it('runs as a user of its own, on the release of Node.js that it was built with', async () => {
    expect(image.user).toBe('10001:10001');
    const { version } = JSON.parse(readFileSync(join(root, 'services/cli/package.json'), 'utf8'));
    expect(await tombolo(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const node = execFileSync(inside('/usr/local/bin/node'), ['--version'], { encoding: 'utf8' }).trim();
    expect(readFileSync(dockerfile, 'utf8')).toContain(`FROM node:${node.slice(1)}-`);
  });

  it('has the command in its path, for whoever looks into a container', async () => {
    const places = (image.environment['PATH'] ?? '').split(':').map((place) => join(inside(place), 'tombolo'));
    expect(places.filter((place) => existsSync(place))).toEqual([inside('/opt/tombolo/node_modules/.bin/tombolo')]);
    const file = join(composeFolder, 'pair/tombolo.yaml');
    const env = { BROKER_PASSWORD: 'of-a-broker', TOMBOLO_SECRET: 'of-the-network' };
    expect(await tombolo(['validate', file], env)).toMatchObject({ code: 0, stdout: expect.stringContaining('valid') });
    expect(await tombolo(['run', '--cluster', 'nowhere'])).toMatchObject({ code: 2 });
  });
});

describe.skipIf(rabbitMissing() !== undefined)('pair.yml', () => {
  const services = servicesOf('pair.yml');
  let started = 0;
  const running = new Map<string, { child: ChildProcess; output: string; exited: Promise<number | null> }>();
  const places = new Map<string, string>();
  const definitions = JSON.parse(readFileSync(join(composeFolder, 'rabbitmq/definitions.json'), 'utf8'));
  const nodes = () => {
    const [west, east] = inject('nodes');
    if (!west || !east) throw new Error('there are no two nodes');
    return { west, east };
  };
  const api = async (port: number, method: string, path: string, body?: object) => {
    const response = await fetch(`http://127.0.0.1:${port}/api${path}`, {
      method,
      headers: { authorization: `Basic ${btoa('guest:guest')}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok && response.status !== 404) throw new Error(`${method} ${path}: ${await response.text()}`);
    return response.headers.get('content-type')?.includes('json') ? response.json() : undefined;
  };

  /** Host names and ports of the containers' network become addresses of this machine; `own` is the container that reads it. */
  const translated = (text: string, own: string): string =>
    [...places].reduce(
      (result, [place, here]) => result.replaceAll(place, here),
      text.replaceAll('0.0.0.0:', `${own}:`).replaceAll('127.0.0.1:', `${own}:`),
    );

  const start = (name: string) => {
    const service = services[name] as Service;
    const environment: Record<string, string> = { ...image.environment };
    for (const [key, value] of Object.entries(service.environment ?? {})) environment[key] = interpolated(value);
    const config = join(folder, `${name}.yaml`);
    if (service.volumes?.includes('./pair:/etc/tombolo:ro')) {
      writeFileSync(config, translated(readFileSync(join(composeFolder, 'pair/tombolo.yaml'), 'utf8'), name));
      environment['TOMBOLO_CONFIG'] = config;
    }
    const args = (service.command ?? image.command).map((arg) => translated(arg, name));
    // Where no topology says so, the admin address is a fixed one, which two bridges of one machine cannot both have.
    if (environment['TOMBOLO_CLUSTER']) args.push('--admin', '127.0.0.1:0');
    const child = spawn(...commandLine(service.entrypoint ?? image.entrypoint, args), {
      cwd: inside(image.workdir),
      env: environment,
    });
    const entry = { child, output: '', exited: new Promise<number | null>((resolve) => child.once('exit', resolve)) };
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part) => (entry.output += part));
    running.set(name, entry);
  };

  beforeAll(async () => {
    const ports = await freePorts(4);
    for (const [index, cluster] of (['west', 'east'] as const).entries()) {
      const { amqpPort, managementPort } = nodes()[cluster];
      places.set(`rabbit-${cluster}:5672`, `127.0.0.1:${amqpPort}`);
      places.set(`rabbit-${cluster}:15672`, `127.0.0.1:${managementPort}`);
      places.set(`bridge-${cluster}:7460`, `127.0.0.1:${ports[index * 2]}`);
      places.set(`bridge-${cluster}:7462`, `127.0.0.1:${ports[index * 2 + 1]}`);
      await api(managementPort, 'POST', '/definitions', definitions);
    }
    // The volume of the applications.
    const [, script = ''] = services['producer']?.volumes?.[0]?.split(':') ?? [];
    cpSync(join(composeFolder, 'traffic.mjs'), inside(script));
    started = Date.now();
  });
  afterAll(async () => {
    for (const { child, exited } of running.values()) {
      if (child.exitCode === null) child.kill('SIGKILL');
      await exited;
    }
    for (const { managementPort } of Object.values(nodes())) {
      for (const { name } of definitions.queues) await api(managementPort, 'DELETE', `/queues/%2F/${name}`);
      for (const { name } of definitions.users) await api(managementPort, 'DELETE', `/users/${name}`);
    }
  });

  it('brings what the application of west sends to the application of east, with the permissions that are given', async () => {
    for (const name of ['bridge-west', 'bridge-east', 'producer', 'consumer']) start(name);
    await awaitUntil(
      'the consumer at east has messages',
      () => {
        for (const [name, { child, output }] of running) {
          if (child.exitCode !== null) throw new Error(`${name} ended: ${output}`);
        }
        return /consume orders: [1-9]/.test(running.get('consumer')?.output ?? '');
      },
      { withinMs: 60_000 },
    );
    expect(running.get('bridge-west')?.output).not.toMatch(/ACCESS_REFUSED|"level":(50|60)/);
  });

  it('calls a bridge healthy that is', async () => {
    const [, program = '', ...args] = services['bridge-west']?.healthcheck?.test ?? [];
    const healthy = (name: string) =>
      new Promise<number>((resolve) => {
        const line = commandLine(
          [program],
          args.map((arg) => translated(arg, name)),
        );
        execFile(...line, (error) => resolve(error ? Number(error.code) : 0));
      });
    expect(await healthy('bridge-west')).toBe(0);
    running.get('bridge-east')?.child.kill('SIGTERM');
    await running.get('bridge-east')?.exited;
    expect(await healthy('bridge-east')).toBe(1);
  });

  it('shows the console, whose files the image has', async () => {
    const listening = (running.get('bridge-west')?.output ?? '')
      .split('\n')
      .find((line) => line.includes('The admin address'));
    const { url } = JSON.parse(listening ?? '{}');
    for (const path of ['/', '/console.js']) {
      const { status } = await fetch(new URL(path, url));
      expect([path, status]).toEqual([path, 200]);
    }
  });

  it('reads its file again on SIGHUP, which is what systemctl reload sends', async () => {
    const bridge = running.get('bridge-west');
    bridge?.child.kill('SIGHUP');
    await awaitUntil('the bridge has said so', () => /SIGHUP/.test(bridge?.output ?? ''));
    expect(bridge?.child.exitCode).toBeNull();
  });

  it('stops every container in good order', async () => {
    for (const { child } of running.values()) child.kill('SIGTERM');
    const codes = await Promise.all([...running].map(async ([name, { exited }]) => [name, await exited]));
    expect(codes).toEqual([...running.keys()].map((name) => [name, 0]));
  });

  it('writes nothing into the image while it runs', () => {
    const newest = readdirSync(inside('/opt/tombolo'), { recursive: true }).filter((path) => {
      const stats = lstatSync(join(inside('/opt/tombolo'), String(path)));
      return stats.isFile() && stats.mtimeMs > started && !String(path).endsWith('traffic.mjs');
    });
    expect(newest).toEqual([]);
  });
});
