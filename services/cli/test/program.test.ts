import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { call } from './call.ts';
import { fakeBridge } from './fake-bridge.ts';

describe('the command', () => {
  beforeEach(() => {
    for (const name of ['TOMBOLO_CONFIG', 'TOMBOLO_CLUSTER']) vi.stubEnv(name, undefined);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('shows help and version with exit code 0', async () => {
    expect(await call('--help')).toMatchObject({ code: 0, out: expect.stringMatching(/run.*\n.*validate/) });
    expect(await call('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it('exits with 2 and a hint when it is not understood', async () => {
    expect(await call('stauts')).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean status?') });
    expect(await call('run', '--cluster', 'west')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/'--config <file>' not specified\nRun it with --help/),
    });
    expect(await call('run', '--config', 'f')).toMatchObject({ code: 2, err: expect.stringContaining('--cluster') });
    expect((await call()).code).toBe(2);
  });

  it('exits with 3 and one sentence when no bridge answers', async () => {
    const { code, err } = await call('status', '--url', 'http://127.0.0.1:1');
    expect(code).toBe(3);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });

  it('answers people at a terminal with text, in colour unless NO_COLOR is set, and programs with JSON', async () => {
    const trace = { destination: 'orders', items: [], conclusion: 'Nobody was asked.' };
    const { url } = await fakeBridge(() => [200, trace]);
    const { isTTY } = process.stdout;
    onTestFinished(() => void Object.assign(process.stdout, { isTTY }));
    Object.assign(process.stdout, { isTTY: true });
    vi.stubEnv('TERM', 'xterm');
    vi.stubEnv('NO_COLOR', '');
    expect((await call('trace', 'orders', '--url', url)).out).toContain('\u001b[1morders\u001b[0m\n');
    expect(JSON.parse((await call('trace', 'orders', '--json', '--url', url)).out)).toEqual(trace);
    vi.stubEnv('NO_COLOR', '1');
    expect((await call('trace', 'orders', '--url', url)).out).toBe('orders\n\nNobody was asked.\n');
  });

  it('prints the schema of the topology', async () => {
    expect(JSON.parse((await call('schema')).out)).toMatchObject({ title: 'Tombolo topology' });
  });
});
