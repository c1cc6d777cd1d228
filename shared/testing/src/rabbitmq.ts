import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from './await-until.ts';
import { freePorts } from './free-port.ts';

const server = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** A RabbitMQ node of the test's own: loopback only, its own directory, cookie and epmd. */
export interface RabbitNode {
  /** As the nodes of a cluster know each other. */
  readonly name: string;
  readonly amqpPort: number;
  readonly managementPort: number;
  readonly username: string;
  readonly password: string;
  /** The id of the node's own process; another one after `restart`. */
  pid(): Promise<number>;
  /** Makes a virtual host with a name of its own, and returns the name. */
  freshVhost(): Promise<string>;
  /** A request to the management API; returns the parsed answer. Rejects on any status from 400 on. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Runs `rabbitmqctl` against the node; rejects when it fails. */
  control(...args: readonly string[]): Promise<void>;
  /** Shuts the node down in good order and removes everything that belongs to it, epmd included. */
  stop(): Promise<void>;
  /** SIGKILL. The data stays, for `restart`. */
  kill(): Promise<void>;
  /** Ends the node (in good order, unless it was killed) and starts it again on the same data and ports. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open, and nothing answers, until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export interface RabbitOptions {
  /** Default: management and event exchange. */
  readonly plugins?: readonly string[];
  /** Further lines of rabbitmq.conf. */
  readonly config?: readonly string[];
  /** The only processors that it may use, as taskset(1) names them. */
  readonly processors?: string;
}

/** Why no node can be started on this machine; undefined when one can. */
export function rabbitMissing(): string | undefined {
  return existsSync(server) ? undefined : `RabbitMQ is not installed (${server})`;
}

let vhosts = 0;
const running = new Set<number>();
process.once('exit', () => {
  for (const pid of running) signal(pid, 'SIGKILL');
});

/** Starts a node; it accepts connections when this resolves (6 to 13 s). */
export async function startRabbit(options: RabbitOptions = {}): Promise<RabbitNode> {
  const [node] = await startNodes(1, options);
  return node as RabbitNode;
}

/**
 * Starts nodes that form one cluster, all at once; each accepts connections, and knows the others, when this resolves. They stop one by
 * one; what they share goes with the last.
 */
export async function startRabbitCluster(size: number, options: RabbitOptions = {}): Promise<RabbitNode[]> {
  const nodes = await startNodes(size, options);
  await awaitUntil('the nodes have formed one cluster', async () => {
    for (const node of nodes) {
      const known = (await node.api('GET', '/nodes')) as { running: boolean }[];
      if (known.filter(({ running }) => running).length !== size) return false;
    }
    return true;
  });
  return nodes;
}

async function startNodes(size: number, options: RabbitOptions): Promise<RabbitNode[]> {
  const missing = rabbitMissing();
  if (missing) throw new Error(missing);
  // The Erlang cookie lives here.
  const home = await mkdtemp(join(tmpdir(), 'tombolo-rabbit-'));
  await writeFile(join(home, '.erlang.cookie'), randomUUID(), { mode: 0o400 });
  const [epmdPort, ...ports] = (await freePorts(1 + size * 3)) as [number, ...number[]];
  const places = Array.from({ length: size }, (_, index): Place => {
    const [amqpPort, managementPort, distPort] = ports.slice(index * 3) as [number, number, number];
    const name = `tombolo${amqpPort}@localhost`;
    return { name, home, directory: join(home, name), epmdPort, amqpPort, managementPort, distPort };
  });
  // In the foreground and ours, so that it can be ended by its id; else the node would leave a daemon behind.
  const epmd = spawn('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], { stdio: 'ignore' });
  const epmdGone = exitOf(epmd);
  await awaitUntil('epmd listens', () => accepts(epmdPort));
  let left = size;
  const stopped = async () => {
    if (--left > 0) return;
    epmd.kill('SIGTERM');
    await epmdGone;
    await rm(home, { recursive: true, force: true });
  };
  const peers =
    size > 1 ? places.map(({ name }, index) => `cluster_formation.classic_config.nodes.${index + 1} = ${name}`) : [];
  const config = [...(options.config ?? []), ...peers];
  return Promise.all(places.map((place) => startNode(place, { ...options, config }, stopped)));
}

/** Where a node lives. */
interface Place {
  readonly name: string;
  readonly home: string;
  readonly directory: string;
  readonly epmdPort: number;
  readonly amqpPort: number;
  readonly managementPort: number;
  readonly distPort: number;
}

async function startNode(place: Place, options: RabbitOptions, stopped: () => Promise<void>): Promise<RabbitNode> {
  const { name, home, directory, epmdPort, amqpPort, managementPort, distPort } = place;
  await mkdir(join(directory, 'log'), { recursive: true });
  const plugins = options.plugins ?? ['rabbitmq_management', 'rabbitmq_event_exchange'];
  await writeFile(join(directory, 'enabled_plugins'), `[${plugins.join(',')}].\n`);
  await writeFile(
    join(directory, 'rabbitmq.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${amqpPort}`,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${managementPort}`,
      'disk_free_limit.absolute = 50MB',
      ...(options.config ?? []),
      '',
    ].join('\n'),
  );
  const pidFile = join(directory, 'pid');
  const environment = {
    ...process.env,
    HOME: home,
    RABBITMQ_NODENAME: name,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(directory, 'advanced.config'),
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_PID_FILE: pidFile,
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
  let script: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();

  const api = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${managementPort}/api${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
        'content-type': 'application/json',
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };

  const start = async () => {
    await rm(pidFile, { force: true });
    const log = await open(join(directory, 'log', 'out'), 'a');
    const [file, args] = options.processors ? ['taskset', ['-c', options.processors, server]] : [server, []];
    script = spawn(file, args, { env: environment, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    const child = script;
    gone = exitOf(child);
    await awaitUntil(
      'the RabbitMQ node accepts connections',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`the node ended: ${await readFile(join(directory, 'log', 'out'), 'utf8')}`);
        return (
          (await accepts(amqpPort)) && (!plugins.includes('rabbitmq_management') || (await api('GET', '/overview')))
        );
      },
      { withinMs: 90_000, everyMs: 50 },
    );
    running.add(await nodePid());
  };
  const nodePid = async () => Number((await readFile(pidFile, 'utf8')).trim());
  const end = async (how: NodeJS.Signals) => {
    const pid = await nodePid().catch(() => undefined);
    if (pid !== undefined && script?.exitCode === null) {
      signal(pid, how);
      signal(pid, 'SIGCONT'); // in case it is frozen
    }
    await gone;
    if (pid !== undefined) running.delete(pid);
  };

  await start();
  return {
    name,
    amqpPort,
    managementPort,
    username: 'guest',
    password: 'guest',
    pid: nodePid,
    api,
    control: (...args) =>
      new Promise((resolve, reject) => {
        const control = spawn('/usr/lib/rabbitmq/bin/rabbitmqctl', args, { env: environment, stdio: 'ignore' });
        control.once('error', reject);
        control.once('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`rabbitmqctl ${args[0]}: exit ${code}`)),
        );
      }),
    async freshVhost() {
      const name = `test-${process.pid}-${++vhosts}`;
      await api('PUT', `/vhosts/${name}`);
      return name;
    },
    async stop() {
      await end('SIGTERM');
      await stopped();
    },
    kill: () => end('SIGKILL'),
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async freeze() {
      signal(await nodePid(), 'SIGSTOP');
    },
    async thaw() {
      signal(await nodePid(), 'SIGCONT');
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
