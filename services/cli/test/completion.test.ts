import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { call } from './call.ts';
import { fakeBridge } from './fake-bridge.ts';
import { demandFor, healthy } from './snapshots.ts';

/** What is offered for the last word, without its description. */
async function offered(...words: string[]): Promise<string[]> {
  const { out, code, err } = await call('complete-words', '--', ...words);
  expect([code, err]).toEqual([0, '']);
  return out
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t')[0]!);
}

const bridge = () =>
  fakeBridge(({ url }) => [
    200,
    url.pathname === '/api/v1/status'
      ? healthy().status
      : { items: [demandFor('orders.eu'), demandFor('orders.eu'), demandFor('bad\nname')], total: 3 },
  ]);

describe('completion', () => {
  it('offers the commands that begin so, and says what they do', async () => {
    expect(await offered('')).toEqual(
      expect.arrayContaining(['run', 'validate', 'status', 'dead-letters', 'completion']),
    );
    expect(await offered('')).not.toContain('complete-words');
    expect(await offered('dr')).toEqual(['drain']);
    expect((await call('complete-words', '--', 'tra')).out).toMatch(/^trace\twhy messages/);
    expect(await offered('dead-letters', '')).toEqual(['list', 'replay', 'drop', 'help']);
  });

  it('offers the options of the command, and the values that are known', async () => {
    expect(await offered('drain', '--c')).toEqual(['--cluster', '--check']);
    expect(await offered('dead-letters', 'drop', '--y')).toEqual(['--yes']);
    expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  it('offers what a running bridge knows: connectors, peers and destinations, but no name that could harm', async () => {
    const { url } = await bridge();
    expect(await offered('pause', '--url', url, '')).toEqual(['west-to-east']);
    expect(await offered('resume', `--url=${url}`, 'w')).toEqual(['west-to-east']);
    expect(await offered('release', '--url', url, '--peer', '')).toEqual(['east']);
    expect(await offered('trace', '--url', url, 'o')).toEqual(['orders.eu']);
    expect(await offered('pause', '--url', url, 'west-to-east', '')).toEqual([]);
  });

  it('offers nothing, and complains of nothing, when no bridge answers', async () => {
    expect(await offered('pause', '--url', 'http://127.0.0.1:1', '')).toEqual([]);
  });

  it('leaves file names to the shell', async () => {
    expect(await offered('validate', '')).toEqual([]);
    expect(await offered('run', '--config', '')).toEqual([]);
  });
});

describe('the script for bash', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tombolo-completion-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What bash offers for a line that was typed so far; the command itself is a stand-in that answers these words. */
  async function offers(line: string, answer: string): Promise<string[]> {
    const { out: script } = await call('completion', 'bash');
    writeFileSync(join(folder, 'script'), script);
    writeFileSync(join(folder, 'tombolo'), `#!/bin/sh\nprintf '%s|' "$@" >'${folder}/asked'\nprintf '${answer}'\n`);
    chmodSync(join(folder, 'tombolo'), 0o755);
    const type = `. ${folder}/script; COMP_LINE=$1 COMP_POINT=\${#1}; _tombolo; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` };
    const { stdout } = await promisify(execFile)('bash', ['-c', type, 'bash', line], { env });
    return stdout.split('\n').slice(0, -1);
  }

  it('passes on what was typed, and offers the answers without their descriptions', async () => {
    expect(await offers('tombolo pause --url http://127.0.0.1:7461 w', 'west-to-east\\tup\\nwest-to-north\\n')).toEqual(
      [...['west-to-east', 'west-to-north']],
    );
    const { stdout } = await promisify(execFile)('cat', [join(folder, 'asked')]);
    expect(stdout).toBe('complete-words|--|pause|--url|http://127.0.0.1:7461|w|');
  });

  it('completes names with colons, at which bash breaks words', async () => {
    expect(await offers('tombolo trace eu:or', 'eu:orders\\n')).toEqual(['orders']);
  });
});
