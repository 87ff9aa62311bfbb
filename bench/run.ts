/**
 * The benchmark: `npm run bench`. See README.md beside this file.
 *
 *   BENCH_SECONDS   of a cell; default 3
 *   BENCH_ROUNDS    default 3
 *   BENCH_SEED      default 1
 *   BENCH_TASKS     default 200000
 *   BENCH_GROWTH    sizes of tables, default 10000,100000,1000000; 0: none
 *   BENCH_ONLY      names of contenders, parts (freshness, write-cost, growth) and cells, with commas; default: all
 *   BENCH_RATE      arrivals a second of the open loop; default: 60 % of what the slowest can do
 *   BENCH_NODE      the Node that runs the contenders; default: Node 26, as in the Dockerfile, by `npx -p node@26`,
 *                   else that of the bench
 *   BENCH_NODE20    a Node 20, for the rows that name it; default: that of the bench, else `npx -p node@20`;
 *                   none: without these rows
 *   BENCH_RESULTS   the folder that bench.json, bench.md and bench.svg go to; default: results/, and then the README shows them
 *   TEST_DATABASE_URL   of a server; default: a private one that writes nothing through to the disk
 *
 * Exit code 0, or 1 when there were errors or this server has served anything stale; 2 when the run itself failed.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NAMES, type Report, runBench } from './bench.js';
import { chartOf } from './chart.js';
import { costTable, markdownOf, readmeBlock, targetTable } from './report.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const MARKED = /(<!-- bench -->\n)[\s\S]*(<!-- \/bench -->)/;

const env = process.env;
const startedMs = performance.now();
const say = (line: string) =>
  process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${line}\n`);

async function main(): Promise<number> {
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const only = (env['BENCH_ONLY'] ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);
  const unknown = only.find((word) => !NAMES.includes(word));
  if (unknown !== undefined) throw new Error(`BENCH_ONLY: expected some of ${NAMES.join(', ')}, not ${unknown}`);
  const growth = (env['BENCH_GROWTH'] || '10000,100000,1000000')
    .split(',')
    .map(Number)
    .filter((size) => size > 0);
  const report = await runBench({
    seconds: numberOf('BENCH_SECONDS', 3),
    rounds: numberOf('BENCH_ROUNDS', 3),
    seed: numberOf('BENCH_SEED', 1),
    tasks: numberOf('BENCH_TASKS', 200_000),
    growth,
    only,
    rate: env['BENCH_RATE'] ? numberOf('BENCH_RATE', 0) : undefined,
    say,
  });
  await write(report);
  process.stdout.write(`\n${costTable(report)}\n\n${targetTable(report.targets)}\n\n`);
  const faults = faultsOf(report);
  for (const fault of faults) process.stdout.write(`FAILED: ${fault}\n`);
  return faults.length === 0 ? 0 : 1;
}

/** What no run may show, however fast the machine. */
function faultsOf({ contenders }: Report): string[] {
  return Object.entries(contenders).flatMap(([name, { cells, atRest }]) => {
    const all = Object.values(cells);
    const errors = all.reduce((sum, cell) => sum + cell.errors, 0);
    const stale = all.reduce((sum, cell) => sum + cell.stale, 0) + atRest.stale;
    return [
      ...(errors > 0 ? [`${name}: ${errors} errors`] : []),
      ...(name.startsWith('tasks-api') && stale > 0 ? [`${name}: ${stale} stale reads`] : []),
    ];
  });
}

async function write(report: Report): Promise<void> {
  const dir = env['BENCH_RESULTS'] || join(HERE, 'results');
  await mkdir(dir, { recursive: true });
  await Promise.all([
    writeFile(join(dir, 'bench.json'), `${JSON.stringify(report, rounded, 2)}\n`),
    writeFile(join(dir, 'bench.md'), markdownOf(report)),
    writeFile(join(dir, 'bench.svg'), chartOf(report)),
  ]);
  if (!env['BENCH_RESULTS']) await showInReadme(report);
}

async function showInReadme(report: Report): Promise<void> {
  const file = join(HERE, '../README.md');
  const shown = readmeBlock(report);
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace(MARKED, (_, before: string, after: string) => `${before}${shown}\n${after}`),
  );
}

/** What lies beyond a microsecond, or a thousandth of a request, is noise. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toFixed(4)) : value;
}

function numberOf(name: string, otherwise: number): number {
  const number = Number(env[name] || otherwise);
  if (!(number > 0)) throw new Error(`${name}: expected a number above 0, got ${env[name]}`);
  return number;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`the run failed: ${error instanceof Error ? error.stack : error}\n`);
    process.exit(2);
  },
);
