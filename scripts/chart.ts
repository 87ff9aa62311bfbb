/** `npm run chart`: writes the names of the configuration's variables into the schema of the Helm chart's values. */
import { readFileSync, writeFileSync } from 'node:fs';
import { variables } from '../src/platform/config.js';
import { SECRETS } from '../src/platform/secret-files.js';

/** The image or the chart sets these. */
const FIXED = ['NODE_ENV', 'HOST', 'PORT', 'METRICS_HOST', 'METRICS_PORT'];

const file = new URL('../ops/helm/tasks-api/values.schema.json', import.meta.url);
const schema = JSON.parse(readFileSync(file, 'utf8'));
const secrets: string[] = [...SECRETS].toSorted();
const isPlain = (name: string) => !FIXED.includes(name) && !secrets.includes(name);
const { config, secret, migration } = schema.properties;
config.propertyNames.enum = Object.keys(variables.shape).filter(isPlain).toSorted();
secret.properties.keys.propertyNames.enum = secrets.filter((name) => !name.startsWith('MIGRATION_'));
migration.properties.secretKeys.propertyNames.enum = secrets.filter((name) => /^(MIGRATION|DATABASE)_/.test(name));
writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
