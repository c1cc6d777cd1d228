// What the demos have in common: what they print, what they check, and how they end.
import { dirname } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import { metric, prepareFolder, startBridge, tombolo } from './network.mjs';

const keep = !['', '0', undefined].includes(process.env.KEEP);

const began = performance.now();
export const say = (text = '') => console.log(text);
export const step = (text) => console.log(`\n${process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text}`);
export const count = (number) => number.toLocaleString('en');
export const since = (start) => {
  const ms = performance.now() - start;
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
};

/** What does not hold ends the demo: it shows the truth or nothing. */
export function check(holds, message) {
  if (!holds) throw new Error(message);
}

/** For the topology, its secrets and the logs of the bridges. */
export const folder = await prepareFolder();
/** What is stopped at the end. */
export const brokers = [];
const bridges = [];

/** Starts the bridges of a topology of two clusters; resolves once they are linked. */
export async function startBridges(topology) {
  const names = Object.keys(topology.admin);
  for (const name of names) bridges.push(await startBridge(folder, topology, name));
  await Promise.all(bridges.map((bridge) => bridge.ready()));
  const [one, other] = names;
  await awaitUntil('the bridges are linked', () => metric(topology.admin[one], 'tombolo_link_up', { peer: other }), {
    withinMs: 60_000,
    everyMs: 20,
  });
}

/** What an operator sees of a cluster's bridge. */
export async function showOperator(topology, cluster) {
  const url = topology.admin[cluster];
  const status = await tombolo('status', '--table', '--url', url);
  say(`\n   $ node_modules/.bin/tombolo status --table --url ${url}`);
  say(status.text.trimEnd().replace(/^(?=.)/gm, '     '));
  check(status.code === 0, `tombolo status says that ${cluster} is not well (exit code ${status.code}).`);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  say(`\n   $ curl ${url}/metrics`);
  const shown = /^tombolo_(messages_(forwarded|delivered)_total|broker_up|link_up)\{/;
  for (const line of metrics.split('\n').filter((line) => shown.test(line))) say(`     ${line}`);
}

async function stop() {
  // Bridges first: they settle what is in flight while their brokers are still there.
  await Promise.all(bridges.map((bridge) => bridge.stop()));
  await Promise.all(brokers.map((broker) => broker.stop()));
}

async function run(demo, interrupted) {
  const how = await Promise.race([demo(), interrupted]);
  if (how === 'interrupted') return;
  const { topology, addresses, again } = how;
  say(`\nDone in ${since(began)}. The whole configuration was one file, ${topology.file}`);
  if (!keep) {
    say(`To look around with everything running: ${again}`);
    return;
  }
  say('\nEverything keeps running until Ctrl-C.');
  say(`   topology     ${topology.file}`);
  for (const address of addresses) say(`   ${address}`);
  for (const [name, url] of Object.entries(topology.admin)) {
    say(`   ${name} bridge  ${url}/metrics, log ${folder}/bridge-${name}.log`);
  }
  await interrupted;
}

/**
 * Plays a demo to its end, and ends what it started; the process ends with it.
 * @param demo resolves with its topology, the brokers' addresses and the command that plays it again with KEEP=1
 */
export async function perform(demo) {
  let interrupt;
  const interrupted = new Promise((resolve) => {
    interrupt = () => resolve('interrupted');
  });
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    await run(demo, interrupted);
    say('\nStopping ...');
    await stop();
  } catch (failure) {
    const cause = failure.cause === undefined ? '' : ` (${failure.cause.message ?? failure.cause})`;
    console.error(`\nThe demo failed: ${failure.message}${cause}`);
    console.error(`The topology and the logs of the bridges are in ${folder},`);
    console.error(`those of the brokers beside it. Remove ${dirname(folder)} afterwards.`);
    process.exit(1);
  }
  process.exit(0);
}
