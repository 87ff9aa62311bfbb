/**
 * The fault matrix: real processes, real faults, every answer checked. `npm run test:chaos`, with
 *
 *   CHAOS_SECONDS     for how long, all topologies together, not counting what they take to start; default 600
 *   CHAOS_SEED        of what is random in it; default: the time, and it is printed
 *   CHAOS_TOPOLOGIES  standalone,sentinel,cluster; default: all
 *   CHAOS_FAULTS      only faults whose name contains one of these words, separated by commas
 *   CHAOS_BREAK       fence: without fences and releases, to see that the checker finds what must then be there
 *   CHAOS_SNAPSHOTS   off: without asking for snapshots, which are checked as such; default on
 *   CHAOS_NEAR_CACHE  off: without values in process memory; default on
 *
 * Its last line is `reads checked: N, violations: N, errors: N`. Exit code 0 when both are none; with CHAOS_BREAK when there
 * are violations; 2 when the run itself failed.
 */
import { rm } from 'node:fs/promises';
import { SECOND } from '../../src/std/time.js';
import { FAULTS, type Fault } from './faults.js';
import { emptyTally, History, type Tally } from './history.js';
import { LiveReaders } from './live.js';
import { randomOf } from './random.js';
import { startReaper } from './reaper.js';
import { startDatabase, TOPOLOGIES, type TopologyKind } from './topology.js';
import { sleep, until } from './wait.js';
import { type ErrorCounts, Workload } from './workload.js';
import { type Settings, startWorld, type World, whole } from './world.js';

const PROGRESS_EVERY_MS = 10 * SECOND;
const CALM_MS = [1000, 2000] as const;
/** Pools and pauses between attempts to connect: then Postgres is no excuse any more. */
const POSTGRES_GRACE_MS = 2000;
const WARM_UP_MS = 1000;
/** A cache that is never used is never wrong. */
const MIN_HIT_PERCENT = 10;
/** What a topology takes longer to start is taken from its time. */
const MAX_START_MS = 45 * SECOND;

interface Cell {
  readonly tally: Tally;
  readonly errors: ErrorCounts;
  runs: number;
  missed: number;
}

const env = process.env;
const seed = Number(env['CHAOS_SEED'] ?? Date.now() % 1_000_000_000);
const totalMs = Number(env['CHAOS_SECONDS'] ?? 600) * SECOND;
const settings: Settings = {
  breaks: breakOf(env['CHAOS_BREAK']),
  snapshots: env['CHAOS_SNAPSHOTS'] !== 'off',
  nearCache: env['CHAOS_NEAR_CACHE'] !== 'off',
};
const words = env['CHAOS_FAULTS']?.split(',').map((word) => word.trim().toLowerCase());
const startedMs = performance.now();
const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = () => `${((performance.now() - startedMs) / SECOND).toFixed(0).padStart(4)} s`;

const history = new History();
const matrix = new Map<string, Map<TopologyKind, Cell>>();
const unexpected: string[] = [];
const calls: Record<string, number> = {};
const endings: string[] = [];
/** Of the API processes; kept when the run finds something. */
const logDirs: string[] = [];

async function main(): Promise<number> {
  const topologies = topologiesOf(env['CHAOS_TOPOLOGIES']);
  say(`seed ${seed}, ${totalMs / SECOND} s over ${topologies.join(', ')}, ${JSON.stringify(settings)}`);
  const reaper = startReaper();
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const database = await startDatabase(reaper);
  const random = randomOf(seed);
  const shareMs = totalMs / topologies.length;
  try {
    for (const [i, kind] of topologies.entries()) {
      const worldStartedMs = performance.now();
      const world = await startWorld({ kind, settings, databaseUrl: database.url, reaper, random, history });
      logDirs.push(world.logDir);
      say(
        `${seconds()}  ${kind}: started in ${((performance.now() - worldStartedMs) / SECOND).toFixed(1)} s; logs in ${world.logDir}`,
      );
      try {
        // A machine that is slow to start it shall not have hurt it for less time; nor shall the whole take for ever.
        const latestMs = startedMs + (i + 1) * (MAX_START_MS + shareMs);
        await hurt(world, Math.min(performance.now() + shareMs, latestMs));
      } finally {
        await world.stop();
      }
    }
  } finally {
    await database.stop();
  }
  const code = report(topologies);
  if (code === 0) await Promise.all(logDirs.map((dir) => rm(dir, { recursive: true, force: true })));
  return code;
}

/** One fault after the other, until the time is over. */
async function hurt(world: World, untilMs: number): Promise<void> {
  const { kind, random } = world;
  const workload = new Workload(world);
  const live = new LiveReaders(world, workload);
  const enter = (cell: Cell, name: string) => {
    history.countIn(`${name} / ${kind}`, cell.tally);
    workload.countErrorsIn(cell.errors);
  };
  const calm = cellOf('no fault', kind);
  enter(calm, 'no fault');
  calm.runs++;
  workload.start();
  live.start();
  let current = 'no fault';
  const progress = setInterval(() => {
    const { reads, violations, lists, snapshots, liveAnswers } = history.total;
    const counts = callsOf(world);
    say(
      `${seconds()}  ${kind}: ${reads} reads, ${lists} lists, ${snapshots} snapshots, ${liveAnswers} live, ${violations} violations, ` +
        `${errorsOf(() => true)} errors; hits ${counts.hitPercent} %, known answers ${counts.answers}, unfenced ${counts.unfenced}; ${current}`,
    );
  }, PROGRESS_EVERY_MS);
  try {
    await sleep(WARM_UP_MS);
    await live.begun();
    const faults = FAULTS.filter(
      ({ name, topologies }) =>
        topologies.includes(kind) && (words === undefined || words.some((word) => name.toLowerCase().includes(word))),
    );
    let deck: Fault[] = [];
    while (performance.now() < untilMs) {
      if (settings.breaks !== undefined || faults.length === 0) {
        await sleep(Math.min(SECOND, Math.max(0, untilMs - performance.now())));
        await live.caughtUp(true);
        continue;
      }
      if (deck.length === 0) deck = random.shuffled(faults);
      const fault = deck.pop() as Fault;
      const cell = cellOf(fault.name, kind);
      current = fault.name;
      enter(cell, fault.name);
      cell.runs++;
      if (fault.partition) history.partitionBegins();
      if (fault.hurtsPostgres) workload.postgresIsHurt();
      if (fault.writesSucceed) workload.writesSucceedBegins();
      const crashed = world.crashes.length;
      const outcome = await fault.run(world, workload, random);
      if (outcome === 'not reached') cell.missed++;
      if (fault.partition) history.partitionEnds();
      if (fault.writesSucceed) workload.writesSucceedEnds();
      if (fault.hurtsPostgres) workload.postgresIsWell(POSTGRES_GRACE_MS);
      current = `after ${fault.name}`;
      const calmUntilMs = performance.now() + random.between(...CALM_MS);
      await live.caughtUp(false);
      await sleep(Math.max(0, calmUntilMs - performance.now()));
      await live.caughtUp(true);
      cell.errors.crashes += world.crashes.length - crashed;
      await until('all API processes are up', () => world.children.every(({ up }) => up));
    }
    await whole(world);
    await workload.stop();
    await live.quiet();
  } finally {
    clearInterval(progress);
    await workload.stop();
    live.stop();
    endings.push(`${kind}: ${live.endings}`);
    const { hitPercent, answers } = callsOf(world);
    if (hitPercent < MIN_HIT_PERCENT) {
      calm.errors.unexpected++;
      workload.unexpected.push(`the cache served only ${hitPercent} % of the calls: nothing was tested`);
    }
    if (settings.nearCache && answers === 0) {
      calm.errors.unexpected++;
      workload.unexpected.push('no read was served as a known answer: whole answers were not tested');
    }
    unexpected.push(...[...workload.unexpected, ...world.crashes].map((text) => `${kind}: ${text}`));
    for (const [name, count] of Object.entries({ ...callsOf(world).counts, ...workload.answers })) {
      calls[name] = (calls[name] ?? 0) + count;
    }
  }
}

function cellOf(fault: string, kind: TopologyKind): Cell {
  const row = matrix.get(fault) ?? new Map<TopologyKind, Cell>();
  matrix.set(fault, row);
  const cell = row.get(kind) ?? {
    tally: emptyTally(),
    errors: { unexpected: 0, killed: 0, postgres: 0, crashes: 0 },
    runs: 0,
    missed: 0,
  };
  row.set(kind, cell);
  return cell;
}

function callsOf(world: World) {
  const counts: Record<string, number> = {};
  for (const child of world.children) {
    for (const [name, count] of Object.entries(child.counts())) counts[name] = (counts[name] ?? 0) + count;
  }
  const { unfenced = 0, answer: answers = 0, ...outcomes } = counts;
  const all = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const served = (outcomes['hit'] ?? 0) + (outcomes['near-hit'] ?? 0);
  return { counts, unfenced, answers, hitPercent: Math.round((100 * served) / Math.max(1, all)) };
}

function errorsOf(fits: (kind: TopologyKind) => boolean): number {
  let errors = 0;
  for (const row of matrix.values()) {
    for (const [kind, cell] of row) if (fits(kind)) errors += cell.errors.unexpected + cell.errors.crashes;
  }
  return errors;
}

function sayViolations(): void {
  for (const violation of history.violations.slice(0, 20)) say(`violation: ${JSON.stringify(violation)}`);
}

/** @returns the exit code */
function report(topologies: readonly TopologyKind[]): number {
  const { reads, violations } = history.total;
  const errors = errorsOf(() => true);
  say('');
  say(
    '| fault | topology | times | reads | violations | worst staleness, ms | in partitions, ms | around the API, ms | live behind after it, ms | in calm, ms | tolerated | errors to readers |',
  );
  say('|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|');
  for (const [fault, row] of matrix) {
    for (const kind of topologies) {
      const cell = row.get(kind);
      if (cell !== undefined) say(`| ${fault} | ${kind} | ${cellText(cell)} |`);
    }
  }
  say('');
  say(`reads served as known answers: ${calls['answer'] ?? 0} of ${calls['reads'] ?? 0}`);
  say(`cached calls and workload: ${JSON.stringify(calls)}`);
  say(`live queries: connections ended by ${endings.join('; ')}`);
  say(`all: ${JSON.stringify(history.total)}`);
  sayViolations();
  for (const text of unexpected) say(`error: ${text}`);
  say(`seed ${seed}, ${((performance.now() - startedMs) / SECOND).toFixed(0)} s`);
  say(`reads checked: ${reads}, violations: ${violations}, errors: ${errors}`);
  if (settings.breaks !== undefined) return violations > 0 ? 0 : 1;
  return violations + errors > 0 ? 1 : 0;
}

function cellText({ tally, errors, runs, missed }: Cell): string {
  const excused = [
    ...(errors.killed > 0 ? [`${errors.killed} of killed processes`] : []),
    ...(errors.postgres > 0 ? [`${errors.postgres} of Postgres`] : []),
  ];
  return [
    missed > 0 ? `${runs} (${missed} not reached)` : runs,
    tally.reads,
    tally.violations,
    tally.worstOutsideMs.toFixed(0),
    tally.worstInsideMs.toFixed(0),
    tally.worstBareMs.toFixed(0),
    tally.worstLiveMs.toFixed(0),
    tally.worstLiveCalmMs.toFixed(0),
    tally.tolerated,
    [
      errors.unexpected,
      ...(errors.crashes > 0 ? [`+ ${errors.crashes} processes died by themselves`] : []),
      ...(excused.length > 0 ? [`(${excused.join(', ')})`] : []),
    ].join(' '),
  ].join(' | ');
}

function topologiesOf(wanted: string | undefined): TopologyKind[] {
  if (wanted === undefined) return [...TOPOLOGIES];
  return wanted.split(',').map((word) => {
    const found = TOPOLOGIES.find((kind) => kind === word.trim());
    if (found === undefined) throw new Error(`CHAOS_TOPOLOGIES: expected ${TOPOLOGIES.join(',')}, got ${word}`);
    return found;
  });
}

function breakOf(text: string | undefined): Settings['breaks'] {
  if (text !== undefined && text !== 'fence') throw new Error(`CHAOS_BREAK: expected fence, got ${text}`);
  return text;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`the run failed: ${error instanceof Error ? error.stack : error}\n`);
    if (error instanceof Error && error.cause !== undefined) process.stderr.write(`because: ${error.cause}\n`);
    sayViolations();
    say(
      `reads checked: ${history.total.reads}, violations: ${history.total.violations}, errors: ${errorsOf(() => true)}`,
    );
    process.exit(2);
  },
);
