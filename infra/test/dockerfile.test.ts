import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import dockerignore from '@balena/dockerignore';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { expect, it } from 'vitest';
import { root } from './image.ts';

const text = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8');
const dockerfile = DockerfileParser.parse(text);

it('is a Dockerfile without a fault', () => {
  expect(validate(text)).toEqual([]);
});

it('builds with one pinned release of Node.js that is supported for long, and has the same Debian where it runs', () => {
  const images = dockerfile.getFROMs().map((from) => from.getImage() ?? '');
  expect(images).toEqual([
    expect.stringMatching(/^node:24\.\d+\.\d+-bookworm-slim$/),
    expect.stringMatching(/^debian:bookworm-slim$/),
  ]);
});

it('starts node itself, with the flags that the command has', () => {
  const [shebang = ''] = readFileSync(join(root, 'services/cli/bin/tombolo.js'), 'utf8').split('\n');
  const flags = shebang.split(' ').filter((word) => word.startsWith('--'));
  expect(flags).not.toEqual([]);
  const entrypoint = dockerfile
    .getENTRYPOINTs()
    .map((instruction) => JSON.parse(instruction.getArgumentsContent() ?? ''));
  expect(entrypoint).toEqual([['node', ...flags, '/opt/tombolo/services/cli/bin/tombolo.js']]);
});

it('shows the build neither secrets nor tests nor what was built here', () => {
  const ignored = dockerignore.default().add(readFileSync(join(root, 'infra/docker/Dockerfile.dockerignore'), 'utf8'));
  for (const path of ['.git/config', '.env', 'tombolo.yaml', 'infra/tools/setup.sh', 'node_modules/ws/index.js']) {
    expect([path, ignored.ignores(path)]).toEqual([path, true]);
  }
  for (const path of ['services/bridge/dist/main.js', 'services/bridge/test/unit/a.ts', 'shared/wire/node_modules/a']) {
    expect([path, ignored.ignores(path)]).toEqual([path, true]);
  }
  expect(ignored.ignores('services/bridge/src/main.ts')).toBe(false);
});
