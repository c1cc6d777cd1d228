import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's folder. */
export const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** A page of documentation: its path from the root, and its text. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block: the words behind the fence, its content, and the line where that begins. */
export interface Block {
  readonly language: string;
  readonly kind: string;
  readonly content: string;
  readonly line: number;
}

/** What users and those who work on Tombolo read. */
export function allPages(): Page[] {
  const docs = readdirSync(join(root, 'infra/docs')).filter((name) => name.endsWith('.md'));
  const paths = [
    'README.md',
    'services/bridge/README.md',
    'helm/tombolo/README.md',
    ...docs.map((name) => `infra/docs/${name}`),
  ];
  return paths
    .filter((path) => existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** The fenced blocks of a page, in order. */
export function blocksOf({ text }: Page): Block[] {
  return [...text.matchAll(/^```([a-z]*)(?: ([a-z-]+))?\n(.*?)^```$/gms)].map((found) => ({
    ...{ language: found[1] ?? '', kind: found[2] ?? '', content: found[3] ?? '' },
    line: text.slice(0, found.index).split('\n').length + 1,
  }));
}

/** Its text without fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^```.*?^```$/gms, '');
}

/** Commands of a shell block, one each: continued lines joined, comments and what stands behind a pipe or an arrow cut off. */
export function commandsOf(content: string): string[][] {
  return content
    .replace(/\\\n\s*/g, ' ')
    .split(/\n|&&|;/)
    .map((line) => wordsOf(line.replace(/(^|\s)#.*$/, '').split(/\s(?:\||>|2>|<)/)[0] ?? ''))
    .map((words) => words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))))
    .filter((words) => words.length > 0);
}

/** Splits as a shell does, as far as documentation needs: spaces, and quotes that are taken off. */
export function wordsOf(line: string): string[] {
  const words = line.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf({ text }: Page): Set<string> {
  const headings = text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}
