import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { call } from './call.ts';

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

  it('prints the schema of the topology', async () => {
    expect(JSON.parse((await call('schema')).out)).toMatchObject({ title: 'Tombolo topology' });
  });
});
