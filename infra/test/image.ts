import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import dockerignore from '@balena/dockerignore';
import { type Copy, DockerfileParser } from 'dockerfile-ast';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

/** An image as a folder: what a container would see, without the files of the base image. */
export interface Image {
  /** The file system's root. */
  readonly folder: string;
  /** What the image is based on, e.g. `debian:bookworm-slim`. */
  readonly base: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** As the Dockerfile has it, e.g. `10001:10001`. */
  readonly user: string;
  readonly ports: readonly number[];
}

interface Stage extends Image {
  readonly name: string | undefined;
}

/**
 * Does what a Dockerfile says, in its order, without a container engine: every stage is a folder, COPY copies what the ignore file beside
 * it permits, and RUN runs on this machine, in the stage's working directory. So instructions must not write outside of that. An
 * instruction that is not known here is an error, not passed over.
 * @param node where the binary is that the `node` base images have in /usr/local/bin
 */
export async function buildImage(dockerfile: string, node: string): Promise<Image> {
  const parsed = DockerfileParser.parse(await readFile(dockerfile, 'utf8'));
  const allowed = dockerignore.default().add(await readFile(`${dockerfile}.dockerignore`, 'utf8'));
  const tracked = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root });
  const context = tracked.stdout.split('\n').filter((file) => file !== '' && !allowed.ignores(file));
  const home = await mkdtemp(join(tmpdir(), 'tombolo-image-'));

  const stages: Stage[] = [];
  let stage: Stage | undefined;
  for (const instruction of parsed.getInstructions()) {
    const keyword = instruction.getKeyword();
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (keyword === 'FROM') {
      stage = await beginStage(words, join(home, String(stages.length)), node);
      stages.push(stage);
      continue;
    }
    if (!stage) throw new Error(`${keyword} before FROM`);
    const inside: Stage = stage;
    switch (keyword) {
      case 'WORKDIR':
        stage = { ...stage, workdir: words[0] ?? '/' };
        await mkdir(join(stage.folder, stage.workdir), { recursive: true });
        break;
      case 'COPY': {
        const from = (instruction as Copy)
          .getFlags()
          .find((flag) => flag.getName() === 'from')
          ?.getValue();
        const source = from === undefined ? undefined : stages.find(({ name }) => name === from);
        if (from !== undefined && !source) throw new Error(`COPY --from=${from}: there is no such stage`);
        await copy(source?.folder, context, words, inside);
        break;
      }
      case 'RUN':
        await run('/bin/sh', ['-c', instruction.getArgumentsContent() ?? ''], {
          cwd: join(inside.folder, inside.workdir),
          env: {
            ...process.env,
            // What a mount of npm's cache does for an engine.
            npm_config_prefer_offline: 'true',
            PATH: `${join(inside.folder, 'usr/local/bin')}:${process.env['PATH']}`,
            ...inside.environment,
          },
          maxBuffer: 2 ** 26,
        });
        break;
      case 'ENV':
        stage = {
          ...stage,
          environment: { ...stage.environment, ...assignments(instruction.getArgumentsContent() ?? '') },
        };
        break;
      case 'USER':
        stage = { ...stage, user: words[0] ?? '' };
        break;
      case 'EXPOSE':
        stage = { ...stage, ports: words.map(Number) };
        break;
      case 'ENTRYPOINT':
      case 'CMD': {
        // The exec form is JSON; the other one would put a shell before the command, which keeps signals to itself.
        const list = JSON.parse(instruction.getArgumentsContent() ?? '') as string[];
        stage = keyword === 'CMD' ? { ...stage, command: list } : { ...stage, entrypoint: list };
        break;
      }
      case 'LABEL':
      case 'STOPSIGNAL':
        break;
      default:
        throw new Error(`${keyword} is not known here`);
    }
    stages[stages.length - 1] = stage;
  }
  if (!stage) throw new Error(`${dockerfile} has no stage`);
  return stage;
}

/** Removes what building an image has left. */
export async function removeImage(image: Image): Promise<void> {
  await rm(dirname(image.folder), { recursive: true, force: true });
}

async function beginStage(words: readonly string[], folder: string, node: string): Promise<Stage> {
  const [base = '', as, name] = words;
  await mkdir(join(folder, 'usr/local/bin'), { recursive: true });
  if (base.startsWith('node:')) await symlink(node, join(folder, 'usr/local/bin/node'));
  const nothing = { entrypoint: [], command: [], environment: {}, ports: [] };
  return { ...nothing, folder, base, name: as === 'AS' ? name : undefined, workdir: '/', user: 'root' };
}

/** COPY from the context (`from` undefined: the files of `context`, relative to the root) or another stage. */
async function copy(
  from: string | undefined,
  context: readonly string[],
  words: readonly string[],
  { folder, workdir }: Stage,
): Promise<void> {
  const sources = words.slice(0, -1);
  const target = posix.resolve(workdir, words.at(-1) ?? '');
  for (const source of sources) {
    if (from !== undefined) {
      await cp(join(from, source), join(folder, target), { recursive: true, verbatimSymlinks: true });
      continue;
    }
    const name = posix.normalize(source);
    const files = context.filter((file) => file === name || file.startsWith(`${name}/`));
    if (files.length === 0) throw new Error(`COPY ${source}: the context has no such file; see the ignore file`);
    for (const file of files) {
      const isDirectory = file !== name;
      const place = isDirectory ? file.slice(name.length + 1) : words.at(-1)?.endsWith('/') ? posix.basename(file) : '';
      await mkdir(dirname(join(folder, target, place)), { recursive: true });
      await cp(join(root, file), join(folder, target, place));
    }
  }
}

function assignments(content: string): Record<string, string> {
  const pairs = [...content.matchAll(/([A-Z_]+)=(\S+)/g)];
  return Object.fromEntries(pairs.map(([, key, value]) => [key, value]));
}
