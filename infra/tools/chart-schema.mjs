// chart-schema.mjs: writes what `tombolo schema` says of a topology into the chart's values.schema.json. All else in that file is
// written by hand.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../../helm/tombolo/values.schema.json', import.meta.url));
const command = fileURLToPath(new URL('../../services/cli/bin/tombolo.js', import.meta.url));

const { $schema: _, ...topology } = JSON.parse(execFileSync(command, ['schema'], { encoding: 'utf8' }));
const schema = JSON.parse(readFileSync(file, 'utf8'));
schema.definitions.topology = topology;
writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
