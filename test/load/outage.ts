/**
 * Redis dies under load and comes back empty: readers go on by loads, which wait in line for Postgres; writers pay for the missing
 * fence; and when Redis is back, the cache fills up without a flood of statements.
 */
import type { Row, Sql } from 'postgres';
import { sleep } from '../chaos/wait.js';
import type { Check } from './checks.js';
import { countOf, sumOf } from './counts.js';
import { Acknowledged, Tally } from './tally.js';
import { CONNECTIONS_PER_PROCESS, MAX_LOADS, PROCESSES, type World } from './world.js';

const WRITERS = 2;
const WRITER_PAUSE_MS = 100;
const WARM_UP_MS = 3000;
/** Rates and hits are told of windows of this length. */
const WINDOW_MS = 500;
const POSTGRES_SAMPLE_MS = 100;
const RECOVERED_SHARE = 0.8;
/** Reconnecting, a lease, and a first load of everything: a few seconds. */
const RECOVERED_WITHIN_MS = 10_000;
/** Peak after to peak during; windows of half a second scatter. */
const NO_SPIKE = 1.5;
const PAGE = 20;

const NESTED = 'assignee { name } project { key } labels { nodes { name } }';
const TASK = `query ($id: ID!) { task(id: $id) { id version title ${NESTED} } }`;
const LIST = `query ($after: String) {
  tasks(first: ${PAGE}, after: $after) {
    nodes { id version title ${NESTED} }
    pageInfo { endCursor }
  }
}`;
const UPDATE = `mutation ($input: UpdateTaskInput!) {
  updateTask(input: $input) { task { id version } errors { message } }
}`;

const PHASES = ['before', 'during', 'after'] as const;
type PhaseName = (typeof PHASES)[number];

interface Task {
  readonly id: string;
  readonly version: number;
}

interface Window {
  readonly endMs: number;
  readonly sqlPerS: number;
  readonly hitShare: number;
}

class Phase {
  readonly reads = new Tally();
  readonly writes = new Tally();
  readonly windows: Window[] = [];
  seconds = 0;
  connections = 0;
  active = 0;
  loadsPeak = 0;
  unfenced = 0;
}

export const OUTAGE_HEADER = [
  '| Redis | s | requests/s | p50 ms | p99 ms | max ms | read errors | stale | writes (errors, unfenced) | write p50 / max ms | Postgres connections, max (active) | loads at once in a process, max | SQL/s, mean | SQL/s, peak | hits |',
  '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
];

/** @returns the lines of the table, and what stands below it */
export async function measureOutage(
  world: World,
  options: {
    readers: number;
    beforeSeconds: number;
    outageSeconds: number;
    afterSeconds: number;
    check: Check;
    checkInTime: Check;
  },
): Promise<string[]> {
  const { redis, check, checkInTime, readers } = { ...world, ...options };
  const phases: Record<PhaseName, Phase> = { before: new Phase(), during: new Phase(), after: new Phase() };
  let phase = new Phase(); // of the warm-up: not told
  const load = new Load(world, () => phase);
  const cursors = await load.cursors();
  load.start(readers, cursors);
  await sleep(WARM_UP_MS);

  let stopped = false;
  const watching = Promise.all([
    watchPostgres(
      world.sql,
      () => phase,
      () => stopped,
    ),
    watchApis(
      world,
      () => phase,
      () => stopped,
    ),
  ]);
  const stay = async (name: PhaseName, seconds: number) => {
    phase = phases[name];
    const startedMs = performance.now();
    await sleep(seconds * 1000);
    phase.seconds = (performance.now() - startedMs) / 1000;
  };
  await stay('before', options.beforeSeconds);
  phase = phases.during;
  await redis.kill();
  await stay('during', options.outageSeconds);
  await redis.start(); // it writes no files: it is empty
  const backMs = performance.now();
  await stay('after', options.afterSeconds);
  stopped = true;
  await Promise.all([load.stop(), watching]);
  const total = sumOf(await Promise.all(world.apis.map((api) => api.count())));

  const all = Object.values(phases);
  const sum = (of: (one: Phase) => number) => all.reduce((total, one) => total + of(one), 0);
  const max = (of: (one: Phase) => number) => Math.max(...all.map(of));
  const first = all.flatMap(({ reads, writes }) => [reads.first, writes.first]).find((text) => text !== undefined);
  const because = first === undefined ? '' : `: ${first}`;
  const readErrors = sum(({ reads }) => reads.counts.errors);
  const writeErrors = sum(({ writes }) => writes.counts.errors);
  const stale = sum(({ reads }) => reads.counts.stale);
  const answers = sum(({ reads }) => reads.counts.answers);
  check(`outage: no error to readers (${readErrors} of ${answers + readErrors})${because}`, readErrors === 0);
  check(`outage: no error to writers (${writeErrors})`, writeErrors === 0);
  check(`outage: nothing stale (${stale})`, stale === 0);
  check(
    `outage: every phase had answers`,
    all.every(({ reads }) => reads.counts.answers > 0),
  );
  check(`outage: at most ${MAX_LOADS} loads at once in a process (${total.loadsPeak})`, total.loadsPeak <= MAX_LOADS);
  const mayConnect = PROCESSES * CONNECTIONS_PER_PROCESS;
  const connections = max((one) => one.connections);
  check(`outage: at most ${mayConnect} connections to Postgres (${connections})`, connections <= mayConnect);
  check(
    'outage: no process died',
    world.apis.every(({ died }) => !died),
  );

  const recovered = phases.after.windows.find(({ hitShare }) => hitShare >= RECOVERED_SHARE);
  const recoveredMs = recovered === undefined ? Number.POSITIVE_INFINITY : recovered.endMs - backMs;
  checkInTime(
    `outage: hits are back at ${100 * RECOVERED_SHARE} % within ${RECOVERED_WITHIN_MS / 1000} s (${(recoveredMs / 1000).toFixed(1)} s)`,
    recoveredMs <= RECOVERED_WITHIN_MS,
  );
  const [peakDuring, peakAfter] = [peakOf(phases.during), peakOf(phases.after)];
  checkInTime(
    `outage: no spike of statements when Redis is back (peak ${peakAfter.toFixed(0)}/s, during the outage ${peakDuring.toFixed(0)}/s)`,
    peakAfter <= NO_SPIKE * peakDuring,
  );
  return PHASES.map((name) => lineOf(name, phases[name]));
}

/** Readers of tasks and lists, and writers of tasks, in closed loops. */
class Load {
  readonly #world: World;
  readonly #phase: () => Phase;
  readonly #acknowledged = new Acknowledged();
  readonly #ids: readonly string[];
  #stopped = false;
  #loops: Promise<void>[] = [];

  constructor(world: World, phase: () => Phase) {
    this.#world = world;
    this.#phase = phase;
    this.#ids = world.fixture.opsTasks.map(({ id }) => id);
  }

  /** Where each page of the list of all tasks begins. */
  async cursors(): Promise<readonly (string | null)[]> {
    const found: (string | null)[] = [null];
    while (found.length < this.#ids.length / PAGE) {
      const body = JSON.stringify({ query: LIST, variables: { after: found.at(-1) } });
      const answer = await this.#api(0).ask<{ tasks: { pageInfo: { endCursor: string } } }>(body, this.#world.headers);
      found.push(answer.tasks.pageInfo.endCursor);
    }
    return found;
  }

  start(readers: number, cursors: readonly (string | null)[]): void {
    for (let i = 0; i < readers; i++) this.#loops.push(this.#readLoop(i, cursors));
    for (let i = 0; i < WRITERS; i++) this.#loops.push(this.#writeLoop(i));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  #api(i: number) {
    return this.#world.apis[i % PROCESSES] as World['apis'][number];
  }

  /** Two tasks, then a page. */
  async #readLoop(i: number, cursors: readonly (string | null)[]): Promise<void> {
    for (let n = i; !this.#stopped; n++) {
      const { reads } = this.#phase();
      const startedMs = performance.now();
      try {
        const nodes = n % 3 === 0 ? await this.#list(i, cursors[n % cursors.length] ?? null) : await this.#task(i, n);
        for (const { id, version } of nodes) {
          const least = this.#acknowledged.before(id, startedMs);
          if (version < least) reads.stale(`${id}: version ${version}, ${least} was acknowledged before`);
        }
        reads.ok(performance.now() - startedMs);
      } catch (error) {
        reads.error(error);
      }
    }
  }

  async #task(i: number, n: number): Promise<readonly Task[]> {
    const body = JSON.stringify({ query: TASK, variables: { id: this.#ids[(n * 7919) % this.#ids.length] } });
    const { task } = await this.#api(i).ask<{ task: Task | null }>(body, this.#world.headers);
    if (task === null) throw new Error('the task is gone');
    return [task];
  }

  async #list(i: number, after: string | null): Promise<readonly Task[]> {
    const body = JSON.stringify({ query: LIST, variables: { after } });
    const { tasks } = await this.#api(i).ask<{ tasks: { nodes: readonly Task[] } }>(body, this.#world.headers);
    if (tasks.nodes.length !== PAGE) throw new Error(`a page of ${tasks.nodes.length} tasks`);
    return tasks.nodes;
  }

  /** Each writer has rows of its own, so that versions are acknowledged in their order. */
  async #writeLoop(i: number): Promise<void> {
    for (let n = i; !this.#stopped; n += WRITERS) {
      const { writes } = this.#phase();
      const startedMs = performance.now();
      const id = this.#ids[(n * 31) % this.#ids.length] as string;
      try {
        const body = JSON.stringify({ query: UPDATE, variables: { input: { id, title: `Changed ${n}` } } });
        const { updateTask } = await this.#api(n).ask<{
          updateTask: { task: Task | null; errors: readonly unknown[] };
        }>(body, this.#world.headers);
        if (updateTask.task === null) throw new Error(JSON.stringify(updateTask.errors));
        this.#acknowledged.add(id, updateTask.task.version);
        writes.ok(performance.now() - startedMs);
      } catch (error) {
        writes.error(error);
      }
      await sleep(WRITER_PAUSE_MS);
    }
  }
}

async function watchPostgres(sql: Sql, phase: () => Phase, stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    const [row] = await sql<(Row & { all: number; active: number })[]>`
      select count(*)::int as all, count(*) filter (where state = 'active')::int as active
      from pg_stat_activity where datname = current_database() and application_name = 'tasks-api'`;
    const now = phase();
    now.connections = Math.max(now.connections, row?.all ?? 0);
    now.active = Math.max(now.active, row?.active ?? 0);
    await sleep(POSTGRES_SAMPLE_MS);
  }
}

/** What the processes told in each window, which is some 100 ms older than it. */
async function watchApis({ apis }: World, phase: () => Phase, stopped: () => boolean): Promise<void> {
  const look = () => {
    const { statements, outcomes, unfenced } = sumOf(apis.map(({ recent }) => recent));
    return {
      atMs: performance.now(),
      statements,
      unfenced,
      hits: countOf({ outcomes }, / (near-)?hit /),
      calls: countOf({ outcomes }, /./),
    };
  };
  let last = look();
  while (!stopped()) {
    await sleep(WINDOW_MS);
    const now = look();
    const into = phase();
    into.windows.push({
      endMs: now.atMs,
      sqlPerS: ((now.statements - last.statements) * 1000) / (now.atMs - last.atMs),
      hitShare: (now.hits - last.hits) / Math.max(1, now.calls - last.calls),
    });
    into.unfenced += now.unfenced - last.unfenced;
    into.loadsPeak = Math.max(into.loadsPeak, ...apis.map((api) => api.takeLoadsPeak()));
    last = now;
  }
}

function peakOf({ windows }: Phase): number {
  return Math.max(0, ...windows.map(({ sqlPerS }) => sqlPerS));
}

function lineOf(name: PhaseName, phase: Phase): string {
  const { reads, writes, windows, seconds } = phase;
  const mean = (of: (one: Window) => number) =>
    windows.reduce((sum, one) => sum + of(one), 0) / Math.max(1, windows.length);
  const { p50, p99, max } = reads.latency;
  return `| ${[
    { before: 'there', during: 'away', after: 'back, empty' }[name],
    seconds.toFixed(0),
    Math.round(reads.counts.answers / seconds),
    p50.toFixed(0),
    p99.toFixed(0),
    max.toFixed(0),
    reads.counts.errors,
    reads.counts.stale,
    `${writes.counts.answers} (${writes.counts.errors}, ${phase.unfenced})`,
    `${writes.latency.p50.toFixed(0)} / ${writes.latency.max.toFixed(0)}`,
    `${phase.connections} (${phase.active})`,
    phase.loadsPeak,
    mean(({ sqlPerS }) => sqlPerS).toFixed(0),
    peakOf(phase).toFixed(0),
    `${(100 * mean(({ hitShare }) => hitShare)).toFixed(0)} %`,
  ].join(' | ')} |`;
}
