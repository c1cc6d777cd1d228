// count-tests.mjs REPORT EXIT_CODE: one plain line from the test runner's JSON report.
import { existsSync, readFileSync } from 'node:fs';

const [path, exitCode] = process.argv.slice(2);
const report = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { testResults: [] };

const statuses = report.testResults.flatMap(({ status, assertionResults }) => {
  const tests = assertionResults.map((test) => test.status);
  // A file that could not be loaded, or whose hooks failed, has no failed test that would say so.
  return status === 'failed' && !tests.includes('failed') ? [...tests, 'failed'] : tests;
});
const count = (...which) => statuses.filter((status) => which.includes(status)).length;

const passed = count('passed');
const skipped = count('skipped', 'pending', 'todo', 'disabled');
// The runner may fail without a failed test: an error that nobody handled, or no report at all.
const failed = count('failed') || (exitCode === '0' ? 0 : 1);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
