import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { loadTopology } from '@tombolo/topology/load';
import { type Command, CommanderError } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/program.ts';
import { allPages, anchorsOf, blocksOf, commandsOf, type Page, proseOf, root, wordsOf } from './pages.ts';

const folder = mkdtempSync(join(tmpdir(), 'tombolo-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** YAML that is no topology says what it is: ```yaml kubernetes. Each of these is judged by a test beside what it belongs to. */
const otherYaml = ['kubernetes', 'values', 'prometheus', 'compose', 'definitions'];

/** Programs that pages may call besides ours; what they are given is not looked at. */
const others = new Set(
  (
    'sudo npm npx node curl helm kubectl docker systemctl journalctl rabbitmqctl rabbitmq-plugins rabbitmq-diagnostics activemq ' +
    'openssl redis-cli promtool source export git install cp mv mkdir kill ss'
  ).split(' '),
);

/** What is wrong with a call of `tombolo`, as the program itself sees it; nothing is run. */
async function complaintAbout(args: readonly string[]): Promise<string | undefined> {
  const program = createProgram();
  const disarm = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    for (const each of command.commands) disarm(each);
  };
  disarm(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? undefined : `tombolo ${args.join(' ')}: ${thrown.message}`;
  }
}

/** `tombolo drain` in a sentence may lack what a call needs; it must be there, and so must what it is said with. */
async function complaintAboutMention(args: readonly string[]): Promise<string | undefined> {
  const complaint = await complaintAbout(args);
  return complaint && /missing required argument|not specified|\(outputHelp\)/.test(complaint) ? undefined : complaint;
}

const targets = [...readFileSync(join(root, 'Makefile'), 'utf8').matchAll(/^([a-z][a-z-]*):/gm)].map(
  (found) => found[1]!,
);
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

/** What is wrong with a command of a shell block. */
async function complaintAboutCommand([program = '', ...args]: readonly string[]): Promise<string | undefined> {
  if (program === 'sudo') return complaintAboutCommand(args);
  if (/(^|\/)tombolo(\.js)?$/.test(program)) return complaintAbout(args);
  if (program === 'node' && args[0]?.endsWith('tombolo.js')) return complaintAbout(args.slice(1));
  if (program === 'make') {
    const unknown = args.find((arg) => !arg.includes('=') && !targets.includes(arg));
    return unknown && `make ${unknown}: there is no such target`;
  }
  if (program === 'npm' && args[0] === 'run')
    return scripts[args[1] ?? ''] ? undefined : `npm run ${args[1]}: no such script`;
  if (program === 'npx' && args[0] === 'vitest') {
    const gone = args.find((arg) => arg.includes('/') && !existsSync(join(root, arg)));
    return gone && `${gone} does not exist`;
  }
  if (program.startsWith('./') || program.includes('/')) {
    return existsSync(join(root, program)) ? undefined : `${program} does not exist`;
  }
  return others.has(program) ? undefined : `${program}: not a program that pages call`;
}

/** What the bridge serves, as its sources register it: `:name` and `${…}` stand for one part of a path, `*` for the rest. */
function routePatterns(): RegExp[] {
  const folder = join(root, 'services/bridge/src');
  const sources = ['admin', 'link'].flatMap((part) =>
    readdirSync(join(folder, part), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(folder, part, file), 'utf8')),
  );
  const paths = sources.flatMap((source) =>
    [...source.matchAll(/['`](\/[a-z][\w/:.${}*-]*|\/)['`]/g)].map((found) => found[1]!),
  );
  return paths.map((path) => {
    const parts = path
      .replace(/[.]/g, '\\.')
      .replace(/:\w+|\$\{[^}]*\}/g, '[^/]+')
      .replace(/\*/g, '.*');
    return new RegExp(`^${parts}/?$`);
  });
}

/** The paths of the API that a page names: with a method in front, or as what curl is to get. */
function pathsIn({ text }: Page): string[] {
  const said = [...text.matchAll(/`(?:GET|POST|PUT|PATCH|DELETE) (\/[^\s`?]*)/g)].map((found) => found[1]!);
  const curled = [...text.matchAll(/curl [^\n`]*?https?:\/\/[^/\s'"`]+:74\d\d(\/[^\s'"`?]*)/g)].map(
    (found) => found[1]!,
  );
  return [...said, ...curled];
}

const routes = routePatterns();
const pages = allPages();
const named = pages.map((page) => [page.path, page] as const);
const present = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined);

describe.each(named)('%s', (path, page) => {
  const blocks = blocksOf(page);
  const yaml = blocks.filter(({ language }) => language === 'yaml');

  it.skipIf(path.startsWith('helm/'))('shows topologies that are valid, without a warning', () => {
    for (const { content, kind, line } of yaml) {
      if (otherYaml.includes(kind)) continue;
      expect(kind, `${path}:${line}`).toBe('');
      const file = join(folder, 'tombolo.yaml');
      writeFileSync(file, content);
      const { topology, problems } = loadTopology(file, { env: { TOMBOLO_SECRET: 'a-secret-of-the-test' } });
      // Passwords and certificates are files on the reader's machines, not on this one.
      const faults = problems.filter(({ message }) => !/^the file \S+ cannot be read \(ENOENT\)$/.test(message));
      expect(faults, `${path}:${line}`).toEqual([]);
      expect(topology?.connectors, `${path}:${line}`).not.toEqual([]);
    }
  });

  it('calls only commands that are understood', async () => {
    const commands = blocks
      .filter(({ language }) => ['sh', 'bash'].includes(language))
      .flatMap(({ content }) => commandsOf(content));
    expect(present(await Promise.all(commands.map(complaintAboutCommand)))).toEqual([]);
  });

  it('mentions only commands, options and targets that exist', async () => {
    const codes = [...proseOf(page).matchAll(/`((?:tombolo|make) [a-z-][^`]*)`/g)].map((found) =>
      found[1]!.replaceAll('\\|', '|'),
    );
    const complaints = codes.map((code) => {
      const [program, ...args] = wordsOf(code);
      return program === 'make' ? complaintAboutCommand([program, ...args]) : complaintAboutMention(args);
    });
    expect(present(await Promise.all(complaints))).toEqual([]);
  });

  it('leads to pages and headings that exist', () => {
    const links = [...page.text.matchAll(/\]\(([^)\s]+)\)/g)].map((found) => found[1]!);
    const dead = links.filter((link) => !link.includes('://') && !leadsSomewhere(page, link));
    expect(dead).toEqual([]);
  });

  it('names only paths that a bridge serves', () => {
    const unknown = pathsIn(page).filter((each) => !routes.some((route) => route.test(each)));
    expect(unknown).toEqual([]);
  });
});

function leadsSomewhere({ path, text }: Page, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? path : normalize(join(dirname(path), file));
  if (!existsSync(join(root, target))) return false;
  if (anchor === undefined) return true;
  return anchorsOf({ path: target, text: file === '' ? text : readFileSync(join(root, target), 'utf8') }).has(anchor);
}

describe('the pages', () => {
  it('show topologies and commands, so that these tests look at something', () => {
    const blocks = pages.flatMap(blocksOf);
    expect(blocks.filter(({ language, kind }) => language === 'yaml' && kind === '').length).toBeGreaterThan(10);
    expect(
      blocks.filter(({ language }) => language === 'sh').flatMap(({ content }) => commandsOf(content)).length,
    ).toBeGreaterThan(10);
  });

  it('are judged by the program itself: what it does not understand is found', async () => {
    expect(await complaintAboutCommand(['tombolo', 'stauts'])).toMatch(/unknown command/);
    expect(await complaintAboutCommand(['tombolo', 'status', '--wtach'])).toMatch(/unknown option/);
    expect(await complaintAboutCommand(['make', 'tset'])).toMatch(/no such target/);
    expect(await complaintAboutMention(['trace'])).toBeUndefined();
    expect(await complaintAboutMention(['stauts'])).toBeDefined();
    expect(
      pathsIn({ path: '', text: '`GET /api/v1/status`' }).some((path) => routes.some((route) => route.test(path))),
    ).toBe(true);
    expect(routes.some((route) => route.test('/api/v1/sattus'))).toBe(false);
  });

  it('begin with a README that fits on a few screens', () => {
    expect(pages[0]!.text.split('\n').length).toBeLessThanOrEqual(251);
  });
});
