import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { faults } from '@tombolo/kernel/fault';
import { describe, expect, it } from 'vitest';
import { root } from './pages.ts';

/** infra/docs/errors.md, made from the table of faults. `npx vitest run --project parts services/cli/test/docs -u` writes it. */
function errorsPage(): string {
  const sections = Object.entries(faults).map(([code, { retryable, meaning, cure }]) => [
    `## ${code}`,
    '',
    meaning,
    '',
    `**What to do:** ${cure}`,
    '',
    retryable ? 'The bridge tries again by itself.' : 'Trying again does not cure it.',
    '',
  ]);
  return [
    '# Errors',
    '',
    'Every error that a user can meet has one of these codes: in the log (`err.code`), and beside the sentence that says what happened, to',
    'what, and what to do. Made from `shared/kernel/src/fault.ts`; a test holds the two equal. Why a *link* is refused is in',
    '[wire.md](wire.md#handshake).',
    '',
    ...sections.flat(),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

describe('the page of errors', () => {
  it('is the table of faults: every code with what it means and what to do', async () => {
    await expect(errorsPage()).toMatchFileSnapshot(join(root, 'infra/docs/errors.md'));
  });

  it('has no code that nothing raises', () => {
    const folders = ['services/bridge/src', 'services/cli/src', 'shared/topology/src', 'shared/wire/src'];
    const sources = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => readFileSync(join(root, folder, file), 'utf8')),
    );
    const unused = Object.keys(faults).filter((code) => !sources.some((source) => source.includes(`'${code}'`)));
    expect(unused).toEqual([]);
  });
});
