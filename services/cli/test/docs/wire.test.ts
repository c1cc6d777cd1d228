import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refusalReasons } from '@tombolo/wire/greeting';
import { protocolVersions } from '@tombolo/wire/handshake';
import { limits } from '@tombolo/wire/limits';
import { describe, expect, it } from 'vitest';
import { root } from './pages.ts';

const text = readFileSync(join(root, 'infra/docs/wire.md'), 'utf8');

describe('the page of the wire', () => {
  it('names every reason for which a link is refused', () => {
    const named = [...text.matchAll(/^\| `([a-z_]+)` \|/gm)].map((found) => found[1]);
    expect(named).toEqual([...refusalReasons]);
  });

  it('names every frame with its number', () => {
    const codec = readFileSync(join(root, 'shared/wire/src/codec.ts'), 'utf8');
    const table = /const codes[^{]*\{[^}]*\} = \{([^}]*)\}/.exec(codec)?.[1] ?? '';
    const codes = [...table.matchAll(/'?([a-z-]+)'?: (\d+),/g)].map(([, kind, code]) => `${kind} (${code})`);
    const named = [...text.matchAll(/([a-z-]+ \(\d+\))/g)].map((found) => found[1]);
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((each) => !named.includes(each))).toEqual([]);
  });

  it('states the limits and the version that are in force', () => {
    const mib = (bytes: number) => `${bytes / 1024 ** 2} MiB`;
    const stated = [mib(limits.frameBytes), mib(limits.headBytes), limits.messages.toLocaleString('en')];
    const more = [
      `${limits.greetingBytes / 1024} KiB`,
      limits.reasonBytes.toLocaleString('en'),
      `${limits.pathClusters}`,
    ];
    for (const each of [...stated, ...more, limits.keyBytes.toLocaleString('en')])
      expect(text).toMatch(new RegExp(`\\| ${each}`));
    expect(text).toContain(`This build speaks ${protocolVersions[0]} to ${protocolVersions[1]}.`);
  });
});
