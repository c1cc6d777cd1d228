import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from './image.ts';

it('finds nothing to object to in the shell scripts', () => {
  const tools = readdirSync(join(root, 'infra/tools')).filter((name) => name.endsWith('.sh'));
  const scripts = ['.ci/run', ...tools.map((name) => join('infra/tools', name))];
  const { status, stdout } = spawnSync('shellcheck', scripts, { cwd: root, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
});
