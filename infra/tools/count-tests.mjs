// count-tests.mjs [REPORT EXIT_CODE]...: from the JSON reports of the test runner's runs, each failed test with its reason once more,
// then one plain line of counts.
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** The tests of one run, and a failure for what failed without one. */
function testsOf(path, exitCode) {
  const report = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { testResults: [] };
  const tests = report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name);
    const own = assertionResults.map((test) => ({
      status: test.status,
      text: `${file}: ${test.fullName}\n    ${(test.failureMessages?.[0] ?? '').split('\n', 4).join('\n    ')}`,
    }));
    // A file that could not be loaded, or whose hooks failed, has no failed test that would say so.
    return status === 'failed' && !own.some(isFailed)
      ? [...own, { status: 'failed', text: `${file}: ${message}` }]
      : own;
  });
  // The runner may fail without a failed test: an error that nobody handled, or no report at all.
  if (exitCode === '0' || tests.some(isFailed)) return tests;
  return [...tests, { status: 'failed', text: `${path}: the run ended with ${exitCode}, and no test of it failed` }];
}

function isFailed({ status }) {
  return status === 'failed';
}

const runs = process.argv.slice(2);
const all = [];
for (let at = 0; at < runs.length; at += 2) all.push(...testsOf(runs[at], runs[at + 1]));

for (const { text } of all.filter(isFailed)) console.log(`failed: ${text}`);
const count = (...which) => all.filter(({ status }) => which.includes(status)).length;
const skipped = count('skipped', 'pending', 'todo', 'disabled');
console.log(`${count('passed')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
