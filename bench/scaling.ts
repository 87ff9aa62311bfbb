/**
 * How far one Redis carries the log of invalidations: `npm run bench:scaling`. See docs/scaling.md.
 *
 *   SCALING_SECONDS   of a measurement; default 2
 *   SCALING_ROUNDS    default 5; a cost is the lowest of them
 *   SCALING_RESULTS   the folder that scaling.json goes to; default: results/, and then docs/scaling.md shows the tables
 *   BENCH_SEED, BENCH_TASKS, TEST_DATABASE_URL   as in run.ts
 *
 * With `-- --again` its rounds count as further rounds of the run that scaling.json holds. With `-- --model` it measures nothing: the model is run
 * again on scaling.json.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureRedisCosts } from './redis-costs.js';
import { measureLoads } from './scaling-load.js';
import { blockOf, marked, type Tables, tablesOf } from './scaling-report.js';
import type { ScalingResults } from './scaling-results.js';
import { mergedRuns } from './scaling-rounds.js';
import { startWorld } from './world.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PAGE = join(HERE, '../docs/scaling.md');
const env = process.env;
const numberOf = (name: string, otherwise: number) => Number(env[name] || otherwise);
const startedMs = performance.now();
const say = (line: string) =>
  process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${line}\n`);

async function measured(): Promise<ScalingResults> {
  const [seconds, rounds] = [numberOf('SCALING_SECONDS', 2), numberOf('SCALING_ROUNDS', 5)];
  const world = await startWorld();
  try {
    const redis = await measureRedisCosts({ world, rounds, seconds: seconds / 2 });
    say('costs of Redis');
    const tasks = await world.tasks(numberOf('BENCH_TASKS', 100_000));
    say('data');
    const loads = await measureLoads({ world, tasks, rounds, seconds, seed: numberOf('BENCH_SEED', 1), say });
    const version = await world.redis.version();
    const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, redis: version };
    return { date: new Date().toISOString().slice(0, 10), machine, redis, loads };
  } finally {
    await world.stop();
  }
}

const rounded = (_: string, value: unknown) =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

const readResults = async (file: string) => JSON.parse(await readFile(file, 'utf8')) as ScalingResults;

async function main(): Promise<void> {
  const dir = env['SCALING_RESULTS'] || join(HERE, 'results');
  const file = join(dir, 'scaling.json');
  if (!process.argv.includes('--model')) {
    const now = await measured();
    const results = process.argv.includes('--again') ? mergedRuns(await readResults(file), now) : now;
    await mkdir(dir, { recursive: true });
    await writeFile(file, `${JSON.stringify(results, rounded, 2)}\n`);
  }
  const tables = tablesOf(await readResults(file));
  say('model');
  for (const [name, table] of Object.entries(tables)) process.stdout.write(`\n${name}\n\n${table}\n`);
  if (!env['SCALING_RESULTS']) await showInPage(tables);
}

/** Each table replaces what stands between the comments that name it. */
async function showInPage(tables: Tables): Promise<void> {
  let text = await readFile(PAGE, 'utf8');
  for (const [name, table] of Object.entries(tables)) text = text.replace(marked(name), () => blockOf(name, table));
  await writeFile(PAGE, text);
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`the run failed: ${error instanceof Error ? error.stack : error}\n`);
    process.exit(2);
  },
);
