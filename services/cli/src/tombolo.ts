import { runProgram } from './program.ts';

// Whoever reads the output may have seen enough: `tombolo status | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? 0);
});

await runProgram(process.argv.slice(2));
