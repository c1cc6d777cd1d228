import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from './await-until.ts';
import { freePorts } from './free-port.ts';

const server = '/usr/bin/prometheus';

/** One series of an instant query's answer. */
export interface PrometheusSample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus of the test's own, on loopback. */
export interface PrometheusServer {
  /** What the expression has now. Rejects with what Prometheus says of a wrong one. */
  query(expression: string): Promise<PrometheusSample[]>;
  /** Ends it, and removes what it kept. */
  stop(): Promise<void>;
}

/** Why no Prometheus can be started on this machine; undefined when one can. */
export function prometheusMissing(): string | undefined {
  return existsSync(server) ? undefined : `Prometheus is not installed (${server})`;
}

const running = new Set<number>();
process.once('exit', () => {
  for (const pid of running) process.kill(pid, 'SIGKILL');
});

/**
 * Starts a Prometheus that scrapes and evaluates every second; it is ready when this resolves.
 * @param targets `host:port` of what serves `/metrics`
 * @param rules paths of rule files
 */
export async function startPrometheus(
  targets: readonly string[],
  rules: readonly string[] = [],
): Promise<PrometheusServer> {
  const missing = prometheusMissing();
  if (missing) throw new Error(missing);
  const directory = await mkdtemp(join(tmpdir(), 'tombolo-prometheus-'));
  const [port] = (await freePorts(1)) as [number];
  const file = join(directory, 'prometheus.yml');
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: rules,
    scrape_configs: [{ job_name: 'tombolo', static_configs: [{ targets }] }],
  };
  // JSON is YAML too.
  await writeFile(file, JSON.stringify(config));
  const flags = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const child = spawn(server, [...flags, '--log.level=error'], { stdio: 'ignore' });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (child.pid !== undefined) running.add(child.pid);
  const origin = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGTERM');
    await gone;
    if (child.pid !== undefined) running.delete(child.pid);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await awaitUntil('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
      return (await fetch(`${origin}/-/ready`)).ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query: async (expression) => {
      const response = await fetch(`${origin}/api/v1/query`, {
        method: 'POST',
        body: new URLSearchParams({ query: expression }),
      });
      const answer = (await response.json()) as {
        readonly error?: string;
        readonly data?: { readonly result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      if (!answer.data) throw new Error(`${expression}: ${answer.error}`);
      return answer.data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    stop,
  };
}
