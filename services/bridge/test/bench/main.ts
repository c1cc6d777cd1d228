import { readFileSync, writeFileSync } from 'node:fs';
import { Ground } from './ground.ts';
import { guarded, outside } from './guard.ts';
import { machineName } from './processor.ts';
import { type Results, type RowResult, readResults, writeResults } from './results.ts';
import { activemqRow } from './rows/activemq-row.ts';
import { tenThousandRow, thousandRow } from './rows/destinations-rows.ts';
import { brokerKilledRow, linkKilledRow } from './rows/fault-rows.ts';
import { firstMessageRow } from './rows/first-message-row.ts';
import { backlogRows, delayRows, latencyRow, liveRows, quickRow, topicsRow, transitRow } from './rows/flow-rows.ts';
import type { Row } from './rows/row.ts';
import { runsThrownAway } from './sample.ts';
import { table } from './table.ts';
import { targets } from './targets.ts';

/** Rows of one set-up follow each other, so that brokers start anew only once; the one that kills a broker comes last. */
const rows: readonly Row[] = [
  ...[...backlogRows, ...liveRows, ...delayRows].filter(({ setup }) => setup === 'pinned'),
  ...[...backlogRows, ...liveRows, latencyRow, topicsRow, ...delayRows].filter(({ setup }) => setup === 'shared'),
  ...[transitRow, firstMessageRow, thousandRow, tenThousandRow, linkKilledRow, activemqRow, brokerKilledRow],
];

// Run from the repository's root, as `make bench` does.
const reference = 'services/bridge/test/bench/results/reference.json';
const readme = 'services/bridge/README.md';
const markers = ['<!-- make bench writes from here -->', '<!-- to here -->'] as const;
const log = (line: string) => process.stdout.write(`${line}\n`);

let rabbitVersion = '';
const { ROWS = '', ROUNDS = '3', SCALE = '1' } = process.env;

/** Measures the rows one after the other and hands over each as soon as it is there. */
async function measure(
  chosen: readonly Row[],
  rounds: number,
  scale: number,
  measured: (name: string, result: RowResult) => void,
): Promise<void> {
  let ground: Ground | undefined;
  try {
    for (const row of chosen) {
      const missing = row.missing?.();
      if (missing) {
        log(`${row.name}: left out. ${missing}`);
        continue;
      }
      if (ground?.setup !== row.setup) {
        await ground?.close();
        ground = await Ground.open(row.setup);
        rabbitVersion = ((await ground.a.api('GET', '/overview')) as { rabbitmq_version: string }).rabbitmq_version;
      }
      log(`${row.name} (${row.setup})`);
      const before = runsThrownAway();
      const ways = await row.run(ground, { rounds, scale, log: (line) => log(`  ${line}`) });
      const measuredAt = `${new Date().toISOString().slice(0, 16)}Z`;
      measured(row.name, { measuredAt, rounds, thrownAway: runsThrownAway() - before, ways });
    }
  } finally {
    await ground?.close();
  }
}

function add(before: Results | undefined, name: string, result: RowResult): Results {
  return {
    machine: machineName(),
    software: `RabbitMQ ${rabbitVersion}, Node.js ${process.version.slice(1)}`,
    rows: { ...before?.rows, [name]: result },
  };
}

/** The rows asked for, or all; what was measured takes the place of what was, in the file and in the bridge's README. */
async function bench(): Promise<number> {
  const asked = ROWS.split(/[ ,]+/).filter(Boolean);
  const chosen = rows.filter(({ name }) => asked.length === 0 || asked.some((each) => name.startsWith(each)));
  if (chosen.length === 0) {
    log(`no row begins with ${ROWS}; there are ${rows.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  // What was made smaller to try something is no result.
  const kept =
    SCALE === '1' && Number(ROUNDS) >= 3 && !process.env['WAYS'] && !process.env['TRIES'] && !process.env['OTHER'];
  await measure(chosen, Number(ROUNDS), Number(SCALE), (name, result) => {
    const results = add(readResults(reference), name, result);
    const lines = targets.filter(({ row }) => row === name);
    log(`\n${table(results, lines)}\n`);
    if (!kept) return;
    writeResults(reference, results);
    show(results);
  });
  if (kept) log(`written to ${reference} and ${readme}`);
  return 0;
}

function show(results: Results): void {
  const text = readFileSync(readme, 'utf8');
  const [begin, end] = markers.map((marker) => text.indexOf(marker)) as [number, number];
  const shown = `${table(results, targets)}\n\nMeasured on ${results.machine}; ${results.software}.`;
  writeFileSync(readme, `${text.slice(0, begin + markers[0].length)}\n\n${shown}\n\n${text.slice(end)}`);
}

/** A few ratios, compared with those that are committed; with KEEP=1 they take their place. */
async function quick(): Promise<number> {
  const committed = readResults(reference);
  let results: Results | undefined;
  await measure([quickRow], 3, 1, (name, result) => {
    results = add(committed, name, result);
  });
  if (!results) return 1;
  log(`\n${table({ ...results, rows: { quick: results.rows['quick'] as RowResult } }, guarded)}\n`);
  if (process.env['KEEP'] === '1' || !committed) {
    writeResults(reference, results);
    log(`kept in ${reference}`);
    return 0;
  }
  const complaints = outside(results, committed);
  for (const complaint of complaints) log(complaint);
  log(complaints.length === 0 ? 'All ratios are within their bands.' : 'Some ratios are outside their bands.');
  return complaints.length === 0 ? 0 : 1;
}

process.exitCode = await (process.argv[2] === 'quick' ? quick() : bench());
