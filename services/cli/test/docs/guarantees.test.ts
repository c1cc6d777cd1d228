import { readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './pages.ts';

const page = 'infra/docs/guarantees.md';
const text = readFileSync(join(root, page), 'utf8');
/** [`name`](file) “title”: a test that shows what is said. */
const references = [...text.matchAll(/\[`[^`]+`\]\(([^)]+\.test\.ts)\) “([^”]+)”/g)].map(
  ([, file = '', title = '']) => ({
    file: normalize(join('infra/docs', file)),
    title,
  }),
);

describe('what is guaranteed', () => {
  it('is shown, invariant by invariant, by tests that exist under these names', () => {
    expect(references.length).toBeGreaterThan(25);
    const missing = references.filter(({ file, title }) => {
      const source = readFileSync(join(root, file), 'utf8');
      return ![`'${title}'`, `'${title}',`, `"${title}"`, `\`${title}\``].some((written) => source.includes(written));
    });
    expect(missing).toEqual([]);
  });

  it('has a test for each of the twelve', () => {
    const sections = text.split(/^## (?=\d+\. )/m).slice(1);
    expect(sections).toHaveLength(12);
    for (const section of sections) expect(section, section.split('\n')[0]).toMatch(/\.test\.ts\) “/);
  });
});
