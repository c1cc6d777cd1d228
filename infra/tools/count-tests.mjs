// count-tests.mjs [REPORT EXIT_CODE]...: one plain line from the JSON reports of the test runner's runs.
import { existsSync, readFileSync } from 'node:fs';

/** The statuses of one run's tests, one word each. */
function statusesOf(path, exitCode) {
  const report = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { testResults: [] };
  const statuses = report.testResults.flatMap(({ status, assertionResults }) => {
    const tests = assertionResults.map((test) => test.status);
    // A file that could not be loaded, or whose hooks failed, has no failed test that would say so.
    return status === 'failed' && !tests.includes('failed') ? [...tests, 'failed'] : tests;
  });
  // The runner may fail without a failed test: an error that nobody handled, or no report at all.
  return exitCode !== '0' && !statuses.includes('failed') ? [...statuses, 'failed'] : statuses;
}

const runs = process.argv.slice(2);
const all = [];
for (let at = 0; at < runs.length; at += 2) all.push(...statusesOf(runs[at], runs[at + 1]));

const count = (...which) => all.filter((status) => which.includes(status)).length;
const skipped = count('skipped', 'pending', 'todo', 'disabled');
console.log(`${count('passed')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
