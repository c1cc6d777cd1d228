import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from './await-until.ts';
import { freePorts } from './free-port.ts';

const server = '/usr/bin/redis-server';

/** A Redis of the test's own: loopback only, nothing on disk, empty after each start. */
export interface RedisNode {
  readonly port: number;
  readonly uri: string;
  /** A command, its words one by one; rejects with what Redis answers to a wrong one. Replies as they come, without their framing. */
  command(...words: readonly string[]): Promise<string>;
  /** SIGSTOP: connections stay, nothing is answered. */
  freeze(): void;
  /** SIGCONT: what arrived meanwhile is carried out. */
  thaw(): void;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, empty, on the same port. */
  restart(): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/** Why no Redis can be started on this machine; undefined when one can. */
export function redisMissing(): string | undefined {
  return existsSync(server) ? undefined : `Redis is not installed (${server})`;
}

const running = new Set<number>();
process.once('exit', () => {
  for (const pid of running) process.kill(pid, 'SIGKILL');
});

/**
 * Starts a Redis; it answers when this resolves.
 * @param settings further settings of redis.conf, as `--name value`
 */
export async function startRedis(settings: readonly string[] = []): Promise<RedisNode> {
  const flags = ['--save', '', '--appendonly', 'no', ...settings];
  return startServer(async () => flags);
}

/**
 * Starts a Sentinel that watches one master, alone.
 * @param group what it calls the master and its replicas
 */
export async function startSentinel(group: string, masterPort: number): Promise<RedisNode> {
  return startServer(async (directory) => {
    // It writes down what it finds out.
    const file = join(directory, 'sentinel.conf');
    await writeFile(file, `sentinel monitor ${group} 127.0.0.1 ${masterPort} 1\n`);
    return [file, '--sentinel'];
  });
}

async function startServer(settings: (directory: string) => Promise<readonly string[]>): Promise<RedisNode> {
  const missing = redisMissing();
  if (missing) throw new Error(missing);
  const directory = await mkdtemp(join(tmpdir(), 'tombolo-redis-'));
  const [port] = (await freePorts(1)) as [number];
  // A file's name comes first.
  const flags = [...(await settings(directory)), '--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  let end: (signal: NodeJS.Signals) => Promise<void> = async () => {};
  let pid = 0;

  const command = (...words: readonly string[]) => redisCommand(port, words);
  const start = async () => {
    const child = spawn(server, flags, { stdio: 'ignore' });
    const gone = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => resolve());
    });
    gone.catch(() => {});
    const { pid: own } = child;
    if (own === undefined) return gone;
    pid = own;
    running.add(own);
    end = async (signal) => {
      // A frozen one hears of SIGKILL only.
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await gone;
      running.delete(own);
    };
    await awaitUntil('Redis answers', async () => {
      if (child.exitCode !== null) throw new Error(`Redis ended with ${child.exitCode}`);
      return (await command('PING')) === 'PONG';
    });
  };

  try {
    await start();
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
  return {
    port,
    uri: `redis://127.0.0.1:${port}`,
    command,
    freeze: () => process.kill(pid, 'SIGSTOP'),
    thaw: () => process.kill(pid, 'SIGCONT'),
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGKILL');
      await start();
    },
    stop: async () => {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** One command on a connection of its own; a reply of several lines comes with the framing of its parts. */
function redisCommand(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1');
    let text = '';
    socket.setTimeout(2000, () => socket.destroy(new Error('Redis does not answer')));
    socket.once('error', reject);
    socket.once('connect', () => {
      // It answers what it got, and then closes too.
      socket.end(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
    });
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    socket.once('end', () => {
      socket.destroy();
      const reply = text.trimEnd();
      if (reply.startsWith('-')) reject(new Error(reply.slice(1)));
      else resolve(reply.replace(/^(?:[+:]|\$\d+\r\n)/, ''));
    });
  });
}
