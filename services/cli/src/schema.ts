import { jsonSchema } from '@tombolo/topology/schema';
import type { Command } from 'commander';

/** Adds `tombolo schema`: the JSON Schema (draft 7) of the topology file on standard output, for editors. */
export function schemaCommand(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of the topology file, for editors')
    .action(() => {
      process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
    });
}
