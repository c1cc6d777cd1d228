import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type Case, type Cost, type Measured, measure } from './cost.ts';
import { type Shape, shapes } from './shapes.ts';

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heap(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** The same numbers in each run: a linear congruential generator. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function run(what: Case): Measured {
  return measure(what, seeded(7), () => performance.now(), heap);
}

const short = (value: number): string =>
  value >= 999_500_000
    ? `${(value / 1e9).toPrecision(3)} G`
    : value >= 999_500
      ? `${(value / 1e6).toPrecision(3)} M`
      : value >= 9_995
        ? `${Math.round(value / 1e3)} k`
        : String(Math.round(value));
const cost = ({ frames, bytes, busiestMs }: Cost): string =>
  `${short(frames)} · ${short(bytes)}B · ${short(busiestMs)} ms`;

function row({ shape, clusters, destinations, links, demands, ways, bytesPerWay, ...costs }: Measured): string {
  const { converged, minute, linkLost, linkBack, restart } = costs;
  const table = [`${short(ways / clusters)}`, `${short(bytesPerWay)}`];
  const first = [shape, clusters, links, short(destinations), short(demands)];
  const learned = [
    short(converged.frames),
    `${short(converged.bytes)}B`,
    short(converged.meanMs),
    short(converged.busiestMs),
  ];
  return `| ${[...first, ...learned, ...table, ...[minute, linkLost, linkBack, restart].map(cost)].join(' | ')} |`;
}

describe('what routing costs', () => {
  it.each(shapes)(
    'in a %s: each demand is told once over each link, and a minute of quiet costs no more than refreshes',
    (shape) => {
      const { links, demands, converged, minute, linkLost, clusters } = run({ shape, clusters: 20, destinations: 60 });
      expect(converged.frames).toBeLessThanOrEqual(2.5 * links * demands);
      expect(minute.frames).toBeLessThanOrEqual(2 * 2 * links * (clusters + 1));
      expect(linkLost.frames).toBeLessThan(2 * links * (demands + clusters));
    },
  );

  const asked = process.env['TOMBOLO_COST'];
  it.skipIf(!asked)('is told as a table', { timeout: 7_200_000 }, () => {
    process.stdout.write(`${heading}\n`);
    for (const each of asked === 'all' ? grid : asked!.split(',').map(caseOf))
      process.stdout.write(`${row(run(each))}\n`);
  });
});

const columns = [
  ...[
    'shape',
    'clusters',
    'links',
    'destinations',
    'demands',
    'frames to converge',
    'bytes',
    'ms per bridge',
    'ms of the busiest',
  ],
  ...['ways per bridge', 'bytes per way', 'a quiet minute', 'a link lost', 'and back', 'a bridge restarted'],
];
const heading = `| ${columns.join(' | ')} |\n|${columns.map(() => ' --- |').join('')}`;

const grid: readonly Case[] = [
  ...[10, 50, 200].flatMap((clusters) =>
    [100, 1_000, 10_000].map((destinations) => ({ shape: 'sparse random graph' as const, clusters, destinations })),
  ),
  ...shapes.slice(0, 3).map((shape) => ({ shape, clusters: 200, destinations: 1_000 })),
];

/** From `shape:clusters:destinations`. */
function caseOf(text: string): Case {
  const [shape, clusters, destinations] = text.split(':');
  return { shape: shape as Shape, clusters: Number(clusters), destinations: Number(destinations) };
}
