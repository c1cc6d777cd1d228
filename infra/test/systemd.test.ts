import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from './image.ts';

const text = readFileSync(join(root, 'infra/systemd/tombolo@.service'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'tombolo-systemd-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The unit as it would be if this checkout were installed in /opt/tombolo. */
const unit = join(folder, 'tombolo@.service');
writeFileSync(unit, text.replaceAll('/opt/tombolo', root.replace(/\/$/, '')));

const setting = (name: string): string[] =>
  [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

it('is a unit that systemd has nothing to object to', () => {
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

it('exposes little: at most 1.5 of 10 by the measure of systemd-analyze', () => {
  const args = ['security', '--offline=yes', '--threshold=15', '--no-pager', unit];
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  expect({ status, stderr, last: stdout.trim().split('\n').at(-1) }).toMatchObject({ status: 0 });
});

it('starts a command that is there, with flags that it has', () => {
  const [command = '', ...args] = (setting('ExecStart')[0] ?? '').split(' ');
  const file = command.replace('/opt/tombolo', root);
  expect(existsSync(file)).toBe(true);
  const help = execFileSync(file, ['run', '--help'], { encoding: 'utf8' });
  const flags = args.filter((arg) => arg.startsWith('--'));
  expect(flags).toEqual(['--config', '--cluster']);
  for (const flag of flags) expect(help).toContain(flag);
  expect(args.at(-1)).toBe('%i');
});

it('gives the bridge its time to drain, and does not start it again with a file that it cannot use', () => {
  const help = execFileSync(join(root, 'services/cli/bin/tombolo.js'), ['run', '--help'], { encoding: 'utf8' });
  expect(help).toContain('2 bad usage or file');
  expect(setting('RestartPreventExitStatus')).toEqual(['2']);
  expect(Number(setting('TimeoutStopSec')[0])).toBeGreaterThan(20 + 5);
});

it('runs as a user that it makes', () => {
  const users = readFileSync(join(root, 'infra/systemd/tombolo.conf'), 'utf8');
  expect(users).toMatch(new RegExp(`^u ${setting('User')[0]} -`, 'm'));
  const { status } = spawnSync('systemd-sysusers', ['--dry-run', join(root, 'infra/systemd/tombolo.conf')]);
  expect(status).toBe(0);
});
