/**
 * Who reads and writes while the faults happen: readers and writers of each API process in closed loops, probes of Postgres,
 * writers around the API. Everything that comes back goes to the history; errors to readers are counted, with what excuses them.
 */
import { fromUuid, type TaskId, toUuid } from '../../src/db/ids.js';
import type { ApiChild } from './child.js';
import type { Operation, Seen, SeenList } from './history.js';
import { sleep, until } from './wait.js';
import { type ProjectOfTasks, STATUSES, UNITS_EACH, type World } from './world.js';

const READERS_PER_CHILD = 3;
const WRITERS_PER_CHILD = 2;
const READER_PAUSE_MS = 4;
const WRITER_PAUSE_MS = 40;
const MOVER_PAUSE_MS = 100;
const RAW_PAUSE_MS = 60;
const PROBE_PAUSE_MS = 20;
const DOWN_PAUSE_MS = 20;
/** A killed process's connections are reset before its parent is told. */
const NEWS_OF_DEATH_MS = 300;
const MAX_ERRORS_KEPT = 20;
/** Longer than a request is waited for. */
const WRITES_END_WITHIN_MS = 40_000;
export const OPEN_STATUSES = ['TODO', 'IN_PROGRESS', 'IN_REVIEW'] as const;

const NESTED = 'assignee { name } project { key } labels { nodes { name } }';
export const TASK = `query ($id: ID!) { task(id: $id) { id version status title ${NESTED} } }`;
export const LIST = `query ($project: ID!) {
  tasks(first: 100, filter: { project: { id: { eq: $project } } }) { nodes { id version status title ${NESTED} } }
}`;
export const FILTERED = `query ($project: ID!, $statuses: [TaskStatus!]) {
  tasks(first: 100, filter: { project: { id: { eq: $project } }, status: { in: $statuses } }) {
    nodes { id version status title }
  }
}`;
const STATS = `query ($project: ID!) {
  project(id: $project) {
    stats { total byStatus { status count } }
    tasks(first: 100) { nodes { id version status title } }
  }
}`;
const UPDATE = `mutation ($input: UpdateTaskInput!) {
  updateTask(input: $input) { task { id version status } errors { message } }
}`;

export interface TaskNode {
  readonly id: string;
  readonly version: number;
  readonly status: string;
  readonly title: string;
}

export interface Answer {
  readonly data?: {
    readonly task?: TaskNode | null;
    readonly tasks?: { readonly nodes: readonly TaskNode[] };
    readonly project?: {
      readonly stats: { readonly total: number; readonly byStatus: readonly { readonly count: number }[] };
      readonly tasks: { readonly nodes: readonly TaskNode[] };
    } | null;
    readonly updateTask?: { readonly task: TaskNode | null; readonly errors: readonly { readonly message: string }[] };
  } | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
  readonly extensions?: { readonly consistency?: { readonly mode: string } };
}

/** Errors to readers, by what excuses them. */
export interface ErrorCounts {
  /** Nothing does. */
  unexpected: number;
  /** The process that was asked was killed. */
  killed: number;
  /** Postgres itself was hurt, or out of reach. */
  postgres: number;
  /** Processes that died by themselves: nothing excuses that. */
  crashes: number;
}

export class Workload {
  readonly answers = { reads: 0, writes: 0, failedWrites: 0, moves: 0, rawWrites: 0, probes: 0 };
  readonly unexpected: string[] = [];
  #errors: ErrorCounts = { unexpected: 0, killed: 0, postgres: 0, crashes: 0 };
  /** While it is before this, an error is Postgres's. */
  #postgresHurtUntilMs = Number.NEGATIVE_INFINITY;
  /** Writes that begin within are to succeed. */
  #writesSucceed = { fromMs: Number.POSITIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };
  #stopped = false;
  #writesHeld = false;
  #writing = 0;
  #loops: Promise<void>[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  start(): void {
    const { children } = this.#world;
    for (const child of children) {
      for (let i = 0; i < READERS_PER_CHILD; i++) this.#loop(READER_PAUSE_MS, () => this.#read(child), child);
      for (let i = 0; i < WRITERS_PER_CHILD; i++)
        this.#loop(WRITER_PAUSE_MS, () => this.#writingOnce(() => this.#write(child)), child);
      this.#loop(MOVER_PAUSE_MS, () => this.#writingOnce(() => this.#move(child)), child);
    }
    this.#loop(RAW_PAUSE_MS, () => this.writeRaw(1));
    this.#loop(PROBE_PAUSE_MS, () => this.#probe());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  /** Runs `run` once the writes under way have ended; no other begins meanwhile. */
  async withoutWrites(run: () => Promise<void>): Promise<void> {
    this.#writesHeld = true;
    try {
      await until('no write is under way', async () => this.#writing === 0, {
        withinMs: WRITES_END_WITHIN_MS,
        everyMs: 10,
      });
      await run();
    } finally {
      this.#writesHeld = false;
    }
  }

  /** From now on errors are counted here. */
  countErrorsIn(errors: ErrorCounts): void {
    this.#errors = errors;
  }

  postgresIsHurt(): void {
    this.#postgresHurtUntilMs = Number.POSITIVE_INFINITY;
  }

  /** Connections that broke are noticed and made again within this. */
  postgresIsWell(withinMs: number): void {
    this.#postgresHurtUntilMs = performance.now() + withinMs;
  }

  /** From now on every write of the API is answered with success, unless its process is killed. */
  writesSucceedBegins(): void {
    this.#writesSucceed = { fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY };
  }

  writesSucceedEnds(): void {
    this.#writesSucceed.untilMs = performance.now();
  }

  /** SQL around the API, one statement that updates so many tasks. */
  writeRaw(count: number): Promise<void> {
    return this.#writingOnce(() => this.#writeRaw(count));
  }

  async #writingOnce(write: () => Promise<void>): Promise<void> {
    if (this.#writesHeld) return;
    this.#writing++;
    try {
      await write();
    } finally {
      this.#writing--;
    }
  }

  async #writeRaw(count: number): Promise<void> {
    const { sql, raw, history, random } = this.#world;
    const rows = random.shuffled(raw.tasks).slice(0, count).sort(); // in one order: two statements do not deadlock
    const operation = history.beginWrite(rows, `raw SQL of ${count}`);
    try {
      const written = await sql<RawRow[]>`
        update tasks set title = 'Raw ' || gen_random_uuid(), version = version + 1
        where id = any(${rows.map(toUuid)}::uuid[]) returning id, version, status`;
      history.acknowledged(operation, rows, written.map(seenInPostgres));
      this.answers.rawWrites++;
    } catch {
      history.outcomeUnknown(operation, rows);
      this.answers.failedWrites++;
    }
  }

  /** Each task of OPS is written once, by some process: all groups of a Cluster have writes. */
  async writeEvery(): Promise<void> {
    const { children, ops, random } = this.#world;
    for (const id of random.shuffled(ops.tasks)) {
      const child = random.pick(children);
      if (child.up) await this.#write(child, id);
    }
  }

  /** Every process reads every task of OPS, in a list and one by one. */
  async readEvery(): Promise<void> {
    const { children, ops } = this.#world;
    await Promise.all(
      children
        .filter(({ up }) => up)
        .map(async (child) => {
          await this.#readList(child, ops);
          for (const id of ops.tasks) await this.#readTask(child, id);
        }),
    );
  }

  /** Every process is asked for many tasks at once that it has to load: more than may be loaded at a time. */
  async readManyAtOnce(): Promise<void> {
    const { children, ops } = this.#world;
    const reads = children
      .filter(({ up }) => up)
      .flatMap((child) => ops.tasks.map((id) => this.#readNested(child, id)));
    await Promise.all(reads);
  }

  #loop(pauseMs: number, step: () => Promise<void>, child?: ApiChild): void {
    const run = async () => {
      while (!this.#stopped) {
        if (child !== undefined && !child.up) {
          await sleep(DOWN_PAUSE_MS);
          continue;
        }
        await step();
        await sleep(pauseMs * this.#world.random.between(0.5, 1.5));
      }
    };
    this.#loops.push(run());
  }

  async #read(child: ApiChild): Promise<void> {
    const { random, ops, raw, units } = this.#world;
    const project = random.pick([ops, ops, raw]);
    const task = random.pick([...ops.tasks, ...raw.tasks]);
    const roll = random.next();
    const ask = () => {
      if (roll < 0.35) return this.#readList(child, project);
      if (roll < 0.55) return this.#readFiltered(child);
      if (roll < 0.7) return this.#readStats(child, project);
      if (roll < 0.85) return this.#readUnits(child, units);
      if (roll < 0.92) return this.#readNested(child, random.pick([...ops.tasks, ...raw.tasks]));
      return this.#readTask(child, task);
    };
    await ask();
    // As who comes back to a page: the whole answer may be known by then.
    if (random.chance(0.5)) await ask();
  }

  async #readList(child: ApiChild, project: ProjectOfTasks): Promise<void> {
    await this.#ask(child, `list ${project.key}`, { query: LIST, variables: { project: project.id } }, (data) => ({
      nodes: data.tasks?.nodes,
      list: listOf(project, data.tasks?.nodes, STATUSES),
    }));
  }

  /** Writers move tasks of OPS from status to status, hence in and out of this list. */
  async #readFiltered(child: ApiChild): Promise<void> {
    const { ops, random } = this.#world;
    const statuses = random.chance(0.7) ? OPEN_STATUSES : [random.pick(STATUSES)];
    const body = { query: FILTERED, variables: { project: ops.id, statuses } };
    await this.#ask(child, `list OPS ${statuses}`, body, (data) => ({
      nodes: data.tasks?.nodes,
      list: listOf(ops, data.tasks?.nodes, statuses),
    }));
  }

  async #readStats(child: ApiChild, project: ProjectOfTasks): Promise<void> {
    await this.#ask(child, `stats ${project.key}`, { query: STATS, variables: { project: project.id } }, (data) => {
      const stats = data.project?.stats;
      const sum = stats?.byStatus.reduce((total, { count }) => total + count, 0);
      // All of one statement: tasks change their status, and none comes or goes.
      if (stats?.total !== sum || sum !== project.tasks.length) throw new Error(`stats: ${JSON.stringify(stats)}`);
      return { nodes: data.project?.tasks.nodes, list: listOf(project, data.project?.tasks.nodes, STATUSES) };
    });
  }

  async #readTask(child: ApiChild, id: TaskId): Promise<void> {
    await this.#ask(child, 'task', { query: TASK, variables: { id } }, (data) => ({
      nodes: data.task ? [data.task] : undefined,
    }));
  }

  /** A cached method that reads the task through the cache inside its load. */
  async #readNested(child: ApiChild, id: TaskId): Promise<void> {
    const { history, headers } = this.#world;
    const operation = history.beginRead(`nested of API ${child.number}`);
    try {
      const task = (await child.post('/chaos/nested', { id }, headers)) as TaskNode;
      if (task?.version === undefined) throw new Error(`no task: ${JSON.stringify(task)}`);
      history.endRead(operation, [seenInAnswer(task)]);
      this.answers.reads++;
    } catch (error) {
      history.dropRead(operation);
      await this.failed(child, operation, error);
    }
  }

  async #readUnits(child: ApiChild, units: ProjectOfTasks): Promise<void> {
    const { history, settings } = this.#world;
    const startedMs = performance.now();
    const answer = await this.#ask(
      child,
      'units',
      { query: LIST, variables: { project: units.id } },
      (data) => ({ nodes: data.tasks?.nodes }),
      settings.snapshots ? { 'x-consistency': 'snapshot' } : {},
    );
    const nodes = answer?.data?.tasks?.nodes;
    if (!settings.snapshots || nodes === undefined || answer?.extensions?.consistency?.mode !== 'snapshot') return;
    history.checkSnapshot(`units of API ${child.number}`, startedMs, snapshotOf(units, nodes));
  }

  /** One query, and its rows to the history. `pick`: what of the data is to be checked; without nodes the answer was wrong. */
  async #ask(
    child: ApiChild,
    what: string,
    body: object,
    pick: (data: NonNullable<Answer['data']>) => { nodes: readonly TaskNode[] | undefined; list?: SeenList },
    more: Readonly<Record<string, string>> = {},
  ): Promise<Answer | undefined> {
    const { history, headers } = this.#world;
    const operation = history.beginRead(`${what} of API ${child.number}`);
    try {
      const answer = (await child.post('/graphql', body, { ...headers, ...more })) as Answer;
      const picked = answer.data ? pick(answer.data) : undefined;
      if (picked?.nodes === undefined || answer.errors !== undefined) {
        throw new Error(`an answer with errors: ${JSON.stringify(answer).slice(0, 500)}`);
      }
      history.endRead(operation, picked.nodes.map(seenInAnswer), picked.list);
      this.answers.reads++;
      return answer;
    } catch (error) {
      history.dropRead(operation);
      await this.failed(child, operation, error);
      return undefined;
    }
  }

  /** A reader got no answer: counted with what excuses it. */
  async failed(child: ApiChild, { startedMs, what }: Operation, error: unknown): Promise<void> {
    const errors = this.#errors;
    const tookMs = performance.now() - startedMs;
    const excusedByPostgres = startedMs < this.#postgresHurtUntilMs;
    await sleep(NEWS_OF_DEATH_MS);
    if (child.wasDownSince(startedMs)) {
      errors.killed++;
    } else if (excusedByPostgres) {
      errors.postgres++;
    } else {
      errors.unexpected++;
      if (this.unexpected.length < MAX_ERRORS_KEPT) {
        this.unexpected.push(`${what}, after ${tookMs.toFixed(0)} ms: ${error}`);
      }
    }
  }

  async #write(child: ApiChild, id = this.#world.random.pick(this.#world.ops.tasks)): Promise<void> {
    const { history, random, headers } = this.#world;
    const change = random.chance(0.3)
      ? { status: random.pick(STATUSES) }
      : { title: `Task ${random.integer(1_000_000_000)}` };
    const operation = history.beginWrite([id], `updateTask of API ${child.number}`);
    try {
      const body = { query: UPDATE, variables: { input: { id, ...change } } };
      const answer = (await child.post('/graphql', body, headers)) as Answer;
      const task = answer.data?.updateTask?.task;
      if (answer.data?.updateTask?.errors.length) return history.refused(operation, [id]);
      if (task === undefined || task === null) throw new Error(JSON.stringify(answer).slice(0, 500));
      history.acknowledged(operation, [id], [seenInAnswer(task)]);
      this.answers.writes++;
    } catch (error) {
      history.outcomeUnknown(operation, [id]);
      await this.#writeFailed(child, operation, error);
    }
  }

  async #move(child: ApiChild): Promise<void> {
    const { history, random, units, headers } = this.#world;
    const [ledger, ...rest] = units.tasks as [TaskId, ...TaskId[]];
    const [from, to] = random.shuffled(rest) as [TaskId, TaskId];
    const rows = [ledger, from, to];
    const operation = history.beginWrite(rows, `move of API ${child.number}`);
    try {
      const all = (await child.post('/chaos/move', { ledger, from, to, all: units.tasks }, headers)) as RawRow[];
      const seen = all.map((row) => ({ row: fromUuid('task', row.id), version: row.version }));
      history.acknowledged(operation, rows, seen);
      const nodes = all.map((row) => ({ ...row, id: fromUuid('task', row.id), title: row.title ?? '' }));
      const { order, vector } = snapshotOf(units, nodes);
      history.knowVector(order, vector);
      this.answers.moves++;
    } catch (error) {
      history.outcomeUnknown(operation, rows);
      await this.#writeFailed(child, operation, error);
    }
  }

  async #writeFailed(child: ApiChild, operation: Operation, error: unknown): Promise<void> {
    this.answers.failedWrites++;
    const { fromMs, untilMs } = this.#writesSucceed;
    if (operation.startedMs >= fromMs && operation.startedMs < untilMs) {
      await this.failed(child, operation, error);
    }
  }

  async #probe(): Promise<void> {
    const { history, sql, random, ops, raw, units } = this.#world;
    const rows = random.shuffled([...ops.tasks, ...raw.tasks, ...units.tasks]).slice(0, 10);
    const probe = history.beginProbe(rows, 'of Postgres');
    try {
      const found = await sql<RawRow[]>`
        select id, version, status from tasks where id = any(${rows.map(toUuid)}::uuid[])`;
      history.endProbe(probe, found.map(seenInPostgres));
      this.answers.probes++;
    } catch {
      history.dropProbe(probe);
    }
  }
}

export interface RawRow {
  readonly id: string;
  readonly version: number;
  readonly status: string;
  readonly title?: string;
}

export function seenInPostgres({ id, version, status }: RawRow): Seen {
  return { row: fromUuid('task', id), version, state: status };
}

export function seenInAnswer({ id, version, status }: TaskNode): Seen {
  return { row: id, version, state: status };
}

export function listOf(
  project: ProjectOfTasks,
  nodes: readonly TaskNode[] | undefined,
  states: readonly string[],
): SeenList {
  return { rows: project.tasks, present: new Set(nodes?.map(({ id }) => id)), states: new Set(states) };
}

/** The ledger's version is the place in the order; the others' titles are their units. */
function snapshotOf(units: ProjectOfTasks, nodes: readonly { id: string; version: number; title: string }[]) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const [ledger, ...rest] = units.tasks.map((id) => byId.get(id));
  return {
    order: `${ledger?.id} ${ledger?.version}`, // each world has a ledger of its own
    vector: rest.map((node) => `${node?.version}=${node?.title}`).join(' '),
    sum: rest.reduce((sum, node) => sum + Number(node?.title), 0),
    expectedSum: rest.length * UNITS_EACH,
  };
}
