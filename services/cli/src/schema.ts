import type { Command } from 'commander';

/** Adds `tombolo schema`: the JSON Schema (draft 7) of the topology file on standard output, for editors. */
export function schemaCommand(program: Command): void {
  program
    .command('schema')
    .summary('its JSON Schema, for editors')
    .description('print the JSON Schema of the topology file, for editors')
    .action(async () => {
      const { jsonSchema } = await import('@tombolo/topology/schema');
      process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
    });
}
