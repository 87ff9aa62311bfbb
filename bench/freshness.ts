/**
 * Whether what is served is what Postgres holds. Under load: a read that shows a version lower than one that had been acknowledged when it was
 * sent is stale. At rest: every key that was written to is read again and compared with the tables.
 */
import { performance } from 'node:perf_hooks';
import { toUuid } from '../src/db/ids.js';
import { projectId, projectOfTask, TASKS_PER_PROJECT, taskId } from './dataset.js';
import type { Client } from './generator.js';
import type { Tally } from './tally.js';
import type { Dialect, Operation, Workload } from './workload.js';
import type { Tasks } from './world.js';

/** After the last answer: for releases and fills that nobody awaits. */
const SETTLE_MS = 300;
const CHECKS_AT_ONCE = 16;

/** Acknowledged versions by task; bounded by the tasks written to. */
export class Acknowledged {
  readonly #versions = new Map<number, number>();
  readonly #dialect: Dialect;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  get tasks(): readonly number[] {
    return [...this.#versions.keys()];
  }

  /** Called when a request is sent. @returns what looks at its answer */
  watch(operation: Operation, tally: Tally): ((text: string) => void) | undefined {
    if (operation.kind === 'Q3') return undefined; // shows no version; looked at when all is at rest
    const shown = (text: string) => this.#dialect.versions(operation, (JSON.parse(text) as { data: unknown }).data);
    if (operation.kind === 'write') {
      return (text) => {
        for (const { task, version } of shown(text)) {
          if (version > (this.#versions.get(task) ?? 0)) this.#versions.set(task, version);
        }
      };
    }
    const least = this.#leastOf(operation);
    if (least.size === 0) return undefined;
    return (text) => {
      const old = shown(text).find(({ task, version }) => version < (least.get(task) ?? 0));
      if (old === undefined) return;
      tally.stale++;
      tally.first ??= `task ${old.task}: version ${old.version}, ${least.get(old.task)} was acknowledged before`;
    };
  }

  /** What has been acknowledged by now, of the tasks that an answer will show. */
  #leastOf(operation: Operation): Map<number, number> {
    const least = new Map<number, number>();
    const note = (task: number) => {
      const version = this.#versions.get(task);
      if (version !== undefined) least.set(task, version);
    };
    if (operation.kind === 'Q1') note(operation.task);
    if (operation.kind === 'Q2') {
      const last = operation.project * TASKS_PER_PROJECT;
      for (let task = last - TASKS_PER_PROJECT + 1; task <= last; task++) note(task);
    }
    return least;
  }
}

/** Bursts on one hot task each: a write among reads through all processes, and reads the moment it is acknowledged. */
export async function provokeRaces(options: {
  client: Client;
  workload: Workload;
  acknowledged: Acknowledged;
  tally: Tally;
  seconds: number;
}): Promise<void> {
  const { client, workload, acknowledged, tally, seconds } = options;
  const ask = async (operation: Operation, process: number) => {
    const look = acknowledged.watch(operation, tally);
    const startedMs = performance.now();
    try {
      const text = await client.ask(operation, process);
      tally.answered(performance.now() - startedMs);
      if (operation.kind !== 'write') tally.reads++;
      look?.(text);
    } catch (error) {
      tally.failed(error);
    }
  };
  const untilMs = performance.now() + seconds * 1000;
  for (let n = 0; performance.now() < untilMs; n++) {
    const task = workload.hotTask();
    const project = projectOfTask(task);
    const reads = (count: number) =>
      Array.from({ length: count * client.processes }, (_, i) => [
        ask({ kind: 'Q1', task }, i % client.processes),
        ask({ kind: 'Q2', project }, i % client.processes),
      ]).flat();
    const write = ask({ kind: 'write', task, change: { title: `Raced ${n}` } }, n % client.processes);
    await Promise.all([...reads(2), write.then(() => Promise.all(reads(1)))]);
  }
}

/** @returns how many answers about what was written to differ from the tables, of how many */
export async function staleAtRest(
  { sql }: Tasks,
  client: Client,
  { tasks }: Acknowledged,
): Promise<{ readonly checked: number; readonly stale: number; readonly first: string | undefined }> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const projects = [...new Set(tasks.map(projectOfTask))];
  const rows = await sql<{ id: string; project: string; task: Shown }[]>`
    select t.id, t.project_id as project, jsonb_build_object('title', t.title, 'status', t.status, 'version', t.version,
      'assignee', jsonb_build_object('name', u.name), 'project', jsonb_build_object('name', p.name)) as task
    from tasks t join projects p on p.id = t.project_id left join users u on u.id = t.assignee_id
    where t.project_id = any(${projects.map(projectUuid)}::uuid[]) order by t.created_at desc, t.id desc`;
  const byTask = new Map(rows.map(({ id, task }) => [id, task]));
  const questions: { operation: Operation; wanted: unknown; of: (answer: unknown) => unknown }[] = [
    ...tasks.map((task) => ({
      operation: { kind: 'Q1' as const, task },
      wanted: shown(byTask.get(taskUuid(task)) as Shown),
      of: (answer: unknown) => shown(answer as Shown),
    })),
    ...projects.flatMap((project) => {
      const own = rows.filter((row) => row.project === projectUuid(project)).map(({ task }) => task);
      return [
        {
          operation: { kind: 'Q2' as const, project },
          wanted: own.map(shown).join(),
          of: (answer: unknown) => (answer as Shown[]).map(shown).join(),
        },
        {
          operation: { kind: 'Q3' as const, project },
          wanted: counts(own.map(({ status }) => ({ status, count: 1 }))),
          of: (answer: unknown) => counts((answer as { byStatus: Count[] }).byStatus),
        },
      ];
    }),
  ].flatMap((question) => Array.from({ length: client.processes }, () => question));

  let stale = 0;
  let first: string | undefined;
  const check = async (i: number) => {
    const { operation, wanted, of } = questions[i] as (typeof questions)[number];
    const found = of(await client.read(operation, i % client.processes));
    if (found === wanted) return;
    stale++;
    first ??= `${JSON.stringify(operation)}: ${found}, but Postgres has ${wanted}`;
  };
  let at = 0;
  const checking = async () => {
    while (at < questions.length) await check(at++);
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, checking));
  return { checked: questions.length, stale, first };
}

interface Shown {
  readonly title: string;
  readonly status: string;
  readonly version: number;
  readonly assignee: { readonly name: string } | null;
  readonly project: { readonly name: string };
}
interface Count {
  readonly status: string;
  readonly count: number;
}

function shown({ title, status, version, assignee, project }: Shown): string {
  return JSON.stringify([title, status, version, assignee?.name ?? null, project.name]);
}

function counts(of: readonly Count[]): string {
  const sums = new Map<string, number>();
  for (const { status, count } of of) sums.set(status, (sums.get(status) ?? 0) + count);
  return JSON.stringify([...sums].sort());
}

const projectUuid = (project: number) => toUuid(projectId(project));
const taskUuid = (task: number) => toUuid(taskId(task));
