/**
 * Where this server's CPU goes: `npm run bench:profile`. Runs cells of the benchmark under V8's sampling profiler and prints, for each, what took
 * how much of it. Native code and Node's own belong to whoever called them, so a system call is its socket's owner's; garbage is nobody's, and the
 * profiler's own work is left out.
 *
 *   PROFILE_CELLS   names of cells, with commas; default Q1,Q2,mixed,Q1 cold,Q2 cold,writes, and `Q1 run`, `Q2 run`: known rows, unknown answers
 *   PROFILE_CONTENDER  another one, such as tasks-api-uncached; default tasks-api
 *   PROFILE_CLIENTS at once; default: the cell's own. Of one, each request bears its trips alone
 *   PROFILE_DIR     the folder that the profiles are kept in, for DevTools or speedscope; default: they are dropped
 *   BENCH_SECONDS, BENCH_SEED, BENCH_TASKS, TEST_DATABASE_URL   as in run.ts
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import type { Profiler } from 'node:inspector';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cellsOf } from './cells.js';
import { type ContenderName, contender } from './contender.js';
import { within } from './measure.js';
import { startWorld } from './world.js';

const SHOWN = 25;
/** Its own work, in the process that it looks at. */
const PROFILER = 'bench/contenders/child';
const env = process.env;
const one = contender((env['PROFILE_CONTENDER'] || 'tasks-api') as ContenderName);

const CELLS = cellsOf(one.cells, 300);
const clients = Number(env['PROFILE_CLIENTS']) || undefined;
const wanted = (env['PROFILE_CELLS'] || 'Q1,Q2,mixed,Q1 run,Q2 run,Q1 cold,Q2 cold,writes').split(',');

const world = await startWorld();
const dir = env['PROFILE_DIR'] || (await mkdtemp(join(tmpdir(), 'tasks-profile-')));
await mkdir(dir, { recursive: true });
try {
  const tasks = await world.tasks(Number(env['BENCH_TASKS'] || 100_000));
  const seconds = Number(env['BENCH_SECONDS'] || 5);
  const seed = Number(env['BENCH_SEED'] || 1);
  await within({ world, tasks, contender: one, answers: {}, seed, seconds }, async (turn) => {
    await turn.warmUp();
    for (const name of wanted) {
      const cell = CELLS.find((spec) => spec.name === name);
      if (cell === undefined) throw new Error(`PROFILE_CELLS: expected some of ${CELLS.map(({ name }) => name)}`);
      const file = join(dir, `${name.replaceAll(/\W+/g, '-')}.cpuprofile`);
      const { cpuMs, requests } = await turn.measure({ ...cell, clients: clients ?? cell.clients }, file);
      const profile = JSON.parse(await readFile(file, 'utf8')) as Profiler.Profile;
      print(`${name}: ${requests} requests, ${cpuMs.toFixed(3)} ms CPU each with the profiler on`, profile);
    }
  });
} finally {
  await world.stop();
  if (!env['PROFILE_DIR']) await rm(dir, { recursive: true, force: true });
}
process.exit(0);

function print(title: string, { nodes, samples = [], timeDeltas = [] }: Profiler.Profile): void {
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const areas = new Map<string, number>();
  const functions = new Map<string, number>();
  const add = (map: Map<string, number>, key: string, us: number) => map.set(key, (map.get(key) ?? 0) + us);
  let total = 0;
  samples.forEach((id, i) => {
    const node = byId.get(id) as Profiler.ProfileNode;
    const { functionName } = node.callFrame;
    const us = timeDeltas[i] ?? 0;
    if (functionName === '(idle)') return;
    let owner: Profiler.ProfileNode | undefined = node;
    while (owner !== undefined && areaOf(owner) === undefined) owner = parents.get(owner.id);
    const area = (owner && areaOf(owner)) ?? (functionName.startsWith('(') ? functionName : 'node');
    if (area === PROFILER) return;
    total += us;
    add(areas, area, us);
    add(functions, `${functionName || '(anonymous)'} ${areaOf(node) ?? node.callFrame.url}`, us);
  });
  const table = (map: Map<string, number>) =>
    [...map]
      .sort(([, a], [, b]) => b - a)
      .slice(0, SHOWN)
      .map(([what, us]) => `${((us / total) * 100).toFixed(1).padStart(6)} %  ${what}`)
      .join('\n');
  process.stdout.write(`\n## ${title}\n\n${table(areas)}\n\nself:\n${table(functions)}\n`);
}

/** A package, or a file of ours. */
function areaOf({ callFrame: { url } }: Profiler.ProfileNode): string | undefined {
  if (url.startsWith('node:') || url === '') return undefined;
  const [, ours] = /\/bench-[^/]+\/(.+)\.js$/.exec(url) ?? [];
  const [, named] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  return ours ?? named;
}
