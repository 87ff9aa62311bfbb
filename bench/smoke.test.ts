/** The whole benchmark with cells of a fraction of a second: what it says is noise, but all of it must be said, and nothing stale or wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../src/std/time.js';
import type { Report } from './bench.js';
import type { CellName } from './cells.js';
import { CONTENDERS, type Contender } from './contender.js';
import { readmeBlock } from './report.js';
import { verdictOf } from './targets.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Cells that do not run out of fresh keys on a small table. */
const CELLS: readonly CellName[] = ['Q1', 'Q2', 'Q3', 'mixed', 'mixed, open loop', 'Q1 run', 'Q2 run'];

let results: string;
let code: number | null;
let output: string;
let report: Report;

beforeAll(async () => {
  results = await mkdtemp(join(tmpdir(), 'tasks-bench-results-'));
  const runner = spawn(process.execPath, ['--import', 'tsx', 'run.ts'], {
    cwd: HERE,
    env: {
      ...process.env,
      BENCH_SECONDS: '0.1',
      BENCH_ROUNDS: '1',
      BENCH_RATE: '50',
      BENCH_TASKS: '1600',
      BENCH_GROWTH: '400',
      BENCH_RESULTS: results,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  for (const stream of [runner.stdout, runner.stderr]) stream.on('data', (text: Buffer) => said.push(text.toString()));
  [code] = (await once(runner, 'close')) as [number | null];
  output = said.join('');
  report = JSON.parse(await readFile(join(results, 'bench.json'), 'utf8').catch(() => '{}'));
}, 5 * MINUTE);

afterAll(() => rm(results, { recursive: true, force: true }));

// A contender that answers other data than the one before it ends the run.
test('all contenders answer, the same data and without errors', () => {
  expect(code, output).toBe(0);
  const skipped = report.skipped.map(({ name }) => name);
  // The first two need Node 20, the third at least Node 22: this machine may not have them.
  expect(['tasks-api-node20', 'apollo-plain-node20', 'postgraphile']).toEqual(expect.arrayContaining(skipped));
  for (const { name, cells } of CONTENDERS) {
    const measured: Contender['cells'] = skipped.includes(name) ? [] : cells;
    for (const cell of CELLS.filter((one) => measured.includes(one))) {
      const { requests, errors, cpuMs } = report.contenders[name]?.cells[cell] ?? {};
      expect({ requests, errors, cpuMs }, `${name}, ${cell}`).toEqual({
        requests: expect.toSatisfy((count: number) => count > 0),
        errors: 0,
        cpuMs: expect.toSatisfy((ms: number) => ms > 0),
      });
    }
  }
});

test('this server serves nothing stale: under load, by two processes, in races, at rest', () => {
  const { cells, atRest, stalePerMillion } = report.contenders['tasks-api'] ?? {};
  expect(stalePerMillion).toBe(0);
  expect(cells?.['races, 2 processes']?.reads).toBeGreaterThan(0);
  expect(atRest).toEqual({ checked: expect.toSatisfy((count: number) => count > 0), stale: 0 });
});

test('what a cache saves is seen in what is counted', () => {
  const { 'tasks-api': cached, 'tasks-api-uncached': uncached } = report.contenders;
  expect(uncached?.cells.Q2?.sql).toBeGreaterThan(1);
  expect(cached?.cells['Q2 hits']?.sql).toBeLessThan(0.1);
  expect(uncached?.cells.Q2?.redis).toBe(0);
  expect(report.contenders['limit-redis']?.cells['Q1 hits']?.redis).toBeCloseTo(1, 1);
});

test('figures, table and chart are written, and every target has a verdict', async () => {
  const [table, chart] = await Promise.all(
    ['bench.md', 'bench.svg'].map((name) => readFile(join(results, name), 'utf8')),
  );
  for (const { title } of Object.values(report.contenders)) {
    expect(table).toContain(`| ${title} |`);
    expect(chart).toContain(`>${title}</text>`);
  }
  expect(table).toContain('| this server, 2 processes |');
  for (const { title, why } of report.skipped) {
    expect(table).toContain(title);
    expect(table).toContain(`(${why})`);
  }
  expect(report.targets).toHaveLength(report.skipped.length === 0 ? 15 : 12);
  for (const { what, value } of report.targets) expect(value, what).toBeTypeOf('number');
  expect(report.growth).toHaveLength(8);
  expect(report.machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number) });
});

test('the README begins with the ratio to Apollo + DataLoader and names every missed target', () => {
  const shown = readmeBlock(report);
  expect(shown).toMatch(/^\*\*Under the mixed load a request takes [\d.]+ times .+ Apollo \+ DataLoader/);
  const named = [...shown.matchAll(/^- (.+): [\d.]+[×]?, expected [≤≥] [\d.]+$/gm)].map(([, what]) => what);
  expect(named).toEqual(report.targets.filter((target) => verdictOf(target) === 'NOT').map(({ what }) => what));
});
