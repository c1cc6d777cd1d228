// find-secrets.mjs FILE...: fails, and shows the lines, when a secret of the tests or a private key is in a file.
import { readFileSync } from 'node:fs';
import { leaksIn } from '@tombolo/testing/canary';

const leaks = process.argv.slice(2).flatMap((path) => leaksIn(readFileSync(path, 'utf8')));
for (const line of leaks) console.log(`A secret of the tests was printed: ${line}`);
process.exitCode = leaks.length === 0 ? 0 : 1;
