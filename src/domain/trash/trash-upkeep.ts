/**
 * Purges what has been in the trash for TRASH_DAYS. Any number of processes run it. It works in small transactions, so
 * that a project of any size neither holds locks nor fences tags for long.
 */
import { eq, inArray, type SQL, sql } from 'drizzle-orm';
import { fromUuid, type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { systemClock } from '../../engine/cache/index.js';
import { type Database, MAX_ROWS_NAMED, type Transaction, type Transactor } from '../../engine/postgres/index.js';
import { MINUTE } from '../../std/time.js';
import { historyEntries } from '../history/history.table.js';
import { projectMembers, projects } from '../projects/project.table.js';
import { lockExclusive } from '../projects/project-lock.js';
import { trashedMembers, trashedProjects } from '../projects/trashed-project.table.js';
import { tasks } from '../tasks/task.table.js';
import { deleteSomeComments } from './delete-comments.js';
import { trashedTasks } from './trashed-task.table.js';

const RUN_EVERY_MS = 10 * MINUTE;
/** Some 50,000 tasks of a deleted project. */
const MAX_STEPS_PER_RUN = 500;
/** Leaves the locks and the connection to others. */
const PAUSE_MS = 20;
/** Of tasks in the trash, which have no bound on their comments. */
const MAX_TRASHED_TASKS = 20;
/** A transaction of so many tasks and comments names its rows one by one: see engine/postgres/outbox.ts. */
const MAX_TASKS = 100;

export interface TrashUpkeepOptions {
  readonly db: Pick<Database, 'read'>;
  readonly transactor: Pick<Transactor, 'transact'>;
  readonly log: { warn(details: object, message: string): void };
  readonly trashDays: number;
}

export class TrashUpkeep {
  readonly #options: TrashUpkeepOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: TrashUpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, RUN_EVERY_MS).unref();
  }

  /** The next run begins `RUN_EVERY_MS` after this one has ended. */
  async #run(): Promise<void> {
    await this.purge().catch((error) => this.#options.log.warn({ err: error }, 'the trash could not be purged now'));
    if (!this.#stopped) this.start();
  }

  /** Ends a run after its current step. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** One run: until nothing is due, or for `MAX_STEPS_PER_RUN`. */
  async purge(): Promise<void> {
    for (let step = 0; step < MAX_STEPS_PER_RUN && !this.#stopped; step++) {
      if (!(await this.#step())) return;
      await systemClock.sleep(PAUSE_MS);
    }
  }

  /** @returns whether anything was due */
  async #step(): Promise<boolean> {
    const { db, transactor, trashDays } = this.#options;
    const isDue = sql`deleted_at < now() - make_interval(days => ${trashDays})`;
    const [due] = await db.read.execute<{ project: string | null; tasks: boolean }>(sql`
      select (${dueProjects(isDue)} order by deleted_at limit 1) as project,
        exists (select from ${trashedTasks} where ${isDue}) as tasks`);
    if (due?.tasks) await transactor.transact((tx) => purgeTrashedTasks(tx, isDue));
    if (due?.project) {
      const id = fromUuid('project', due.project);
      await transactor.transact((tx) => purgePartOfProject(tx, id, isDue));
    }
    return due?.tasks === true || typeof due?.project === 'string';
  }
}

/** The oldest of some tasks in the trash, with their comments. @returns how many there were */
async function purgeTrashedTasks(tx: Transaction, which: SQL): Promise<number> {
  const purged = await tx.execute(sql`
    delete from ${trashedTasks} where id = any(array(
      select id from ${trashedTasks} where ${which} order by deleted_at limit ${MAX_TRASHED_TASKS}
      for update skip locked))
    returning id`);
  return purged.length;
}

/** A project that an operator has given members again is in use. */
function dueProjects(isDue: SQL): SQL {
  return sql`
    select p.id from ${trashedProjects} p
    where ${isDue} and not exists (select from ${projectMembers} m where m.project_id = p.id)`;
}

/** A step of the purge of a project. The first one makes it impossible to restore. */
async function purgePartOfProject(tx: Transaction, id: ProjectId, isDue: SQL): Promise<void> {
  await lockExclusive(tx, id);
  const due = await tx.execute(sql`${dueProjects(isDue)} and p.id = ${toUuid(id)} for update`);
  if (due.length === 0) return; // restored, or purged by another process
  await tx.delete(trashedMembers).where(eq(trashedMembers.projectId, id));
  if ((await purgeTrashedTasks(tx, sql`project_id = ${toUuid(id)}`)) > 0) return;
  const ids = await someLeaves(tx, id);
  if (ids.length === 0) {
    if (!(await purgeHistory(tx, id))) return;
    await tx.delete(projects).where(eq(projects.id, id)); // and with it its labels
    return;
  }
  if (await deleteSomeComments(tx, ids)) await tx.delete(tasks).where(inArray(tasks.id, ids));
}

/**
 * Tasks without subtasks, since a task cannot be deleted before its subtasks. The youngest are mostly such. The
 * lateral join has one plan, by index: a plan that merges all tasks would read those of other projects in each step.
 */
async function someLeaves(tx: Transaction, projectId: ProjectId): Promise<TaskId[]> {
  const rows = await tx.execute<{ id: string }>(sql`
    select t.id from ${tasks} t
    left join lateral (select c.id from ${tasks} c where c.parent_id = t.id limit 1) as subtask on true
    where t.project_id = ${toUuid(projectId)} and subtask.id is null
    order by t.project_id desc, t.id desc limit ${MAX_TASKS}`);
  return rows.map((row) => fromUuid('task', row.id));
}

/** @returns whether none are left */
async function purgeHistory(tx: Transaction, projectId: ProjectId): Promise<boolean> {
  const purged = await tx.execute(sql`
    delete from ${historyEntries} where seq = any(array(
      select seq from ${historyEntries} where project_id = ${toUuid(projectId)} order by seq limit ${MAX_ROWS_NAMED}))
    returning seq`);
  return purged.length < MAX_ROWS_NAMED;
}
