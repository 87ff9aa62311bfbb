/**
 * The plain schema of the others: the same tables through the same Drizzle statements, one DataLoader per table and request, nobody's rights
 * checked. `updated` is called after the commit and before the answer: there a cache drops what it must.
 */
import DataLoader from 'dataloader';
import { asc, desc, eq, sql } from 'drizzle-orm';
import { grouped, rowsById } from '../../src/db/by-id.js';
import { type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { type TaskRow, type TaskStatus, taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { onStatement, options } from './child.js';

export const typeDefs = `
  type Query {
    task(id: ID!): Task
    tasks(projectId: ID!, first: Int!): [Task!]!
    projectStats(projectId: ID!): ProjectStats!
  }
  type Mutation { updateTask(input: UpdateTaskInput!): Task! }
  input UpdateTaskInput { id: ID! title: String description: String status: String assigneeId: ID }
  type Task {
    id: ID! title: String! description: String status: String! priority: String! version: Int!
    project: Project! assignee: User labels: [Label!]!
  }
  type Project { id: ID! key: String! name: String! }
  type User { id: ID! name: String! }
  type Label { id: ID! name: String! }
  "Its id is that of its project."
  type ProjectStats {
    id: ID! total: Int! byStatus: [StatusCount!]! overdue: Int! completedLast7Days: Int! medianCycleTimeHours: Float
  }
  type StatusCount { status: String! count: Int! }
`;

export const db = openDatabase({ url: options.databaseUrl, onStatement });

/** Of one request; made when it is first asked for. */
export class Loaders {
  #tasks?: DataLoader<TaskId, TaskRow | null>;
  #users?: DataLoader<UserId, typeof users.$inferSelect | null>;
  #projects?: DataLoader<ProjectId, typeof projects.$inferSelect | null>;
  #labels?: DataLoader<TaskId, Label[]>;

  get tasks() {
    this.#tasks ??= new DataLoader((ids) => rowsById(db, tasks, ids));
    return this.#tasks;
  }
  get users() {
    this.#users ??= new DataLoader((ids) => rowsById(db, users, ids));
    return this.#users;
  }
  get projects() {
    this.#projects ??= new DataLoader((ids) => rowsById(db, projects, ids));
    return this.#projects;
  }
  get labels() {
    this.#labels ??= new DataLoader(labelsOf);
    return this.#labels;
  }
}

export interface Label {
  readonly id: LabelId;
  readonly name: string;
}

async function labelsOf(taskIds: readonly TaskId[]): Promise<Label[][]> {
  const statement = db.prepared('bench_labels_of', (read, name) =>
    read
      .select({ taskId: taskLabels.taskId, id: labels.id, name: labels.name })
      .from(taskLabels)
      .innerJoin(labels, eq(labels.id, taskLabels.labelId))
      .where(sql`${taskLabels.taskId} = any(${sql.placeholder('ids')}::uuid[])`)
      .orderBy(asc(taskLabels.labelId))
      .prepare(name),
  );
  return grouped(taskIds, await statement.execute({ ids: taskIds.map(toUuid) }), ({ taskId }) => taskId);
}

export interface TaskChange {
  readonly id: TaskId;
  readonly title?: string;
  readonly description?: string;
  readonly status?: TaskStatus;
  readonly assigneeId?: UserId;
}

export const find = {
  async tasks({ projectId, first }: { projectId: ProjectId; first: number }): Promise<TaskRow[]> {
    const statement = db.prepared('bench_tasks_of', (read, name) =>
      read
        .select()
        .from(tasks)
        .where(eq(tasks.projectId, sql.placeholder('projectId')))
        .orderBy(desc(tasks.createdAt), desc(tasks.id))
        .limit(sql.placeholder('first'))
        .prepare(name),
    );
    return statement.execute({ projectId: toUuid(projectId), first });
  },
  /** The aggregates that this API takes, in one statement. */
  async stats(projectId: ProjectId) {
    const statement = db.prepared('bench_stats_of', (read, name) =>
      read
        .select({
          total: sql<number>`coalesce(sum(n), 0)::int`,
          byStatus: sql`coalesce(json_agg(json_build_object('status', status, 'count', n) order by status), '[]')`,
          overdue: sql<number>`coalesce(sum(overdue), 0)::int`,
          completedLast7Days: sql<number>`coalesce(sum(recent), 0)::int`,
          medianCycleTimeHours: sql`(
            select percentile_cont(0.5) within group (order by extract(epoch from completed_at - created_at)::float8 / 3600)
            from tasks where project_id = ${sql.placeholder('uuid')} and completed_at is not null)`,
        })
        .from(
          sql`(
            select status, count(*) as n,
              count(*) filter (where due_date < (now() at time zone 'UTC')::date and status not in ('DONE', 'CANCELED')) as overdue,
              count(*) filter (where completed_at > now() - interval '7 days') as recent
            from tasks where project_id = ${sql.placeholder('uuid')} group by status) as s`,
        )
        .prepare(name),
    );
    const [stats] = await statement.execute({ uuid: toUuid(projectId) });
    return { id: projectId, ...stats };
  },
};

export const updateTask = (change: TaskChange): Promise<TaskRow> =>
  db.write.transaction((tx) => updateWithin(tx, change));

export async function updateWithin(tx: Transaction, { id, ...changes }: TaskChange): Promise<TaskRow> {
  const completedAt = changes.status && (changes.status === 'DONE' ? sql`now()` : null);
  const [task] = await tx
    .update(tasks)
    .set({
      ...changes,
      ...(completedAt !== undefined && { completedAt }),
      version: sql`${tasks.version} + 1`,
      updatedAt: sql`now()`,
    })
    .where(eq(tasks.id, id))
    .returning();
  if (task === undefined) throw new Error(`there is no task ${id}`);
  return task;
}

export interface PlainContext {
  readonly loaders: Loaders;
}

export const resolversFor = (updated: (task: TaskRow) => Promise<unknown> | undefined) => ({
  Query: {
    task: (_: unknown, { id }: { id: TaskId }, { loaders }: PlainContext) => loaders.tasks.load(id),
    tasks: (_: unknown, args: { projectId: ProjectId; first: number }) => find.tasks(args),
    projectStats: (_: unknown, { projectId }: { projectId: ProjectId }) => find.stats(projectId),
  },
  Mutation: {
    async updateTask(_: unknown, { input }: { input: TaskChange }) {
      const task = await updateTask(input);
      await updated(task);
      return task;
    },
  },
  Task: {
    project: ({ projectId }: TaskRow, _: unknown, { loaders }: PlainContext) => loaders.projects.load(projectId),
    assignee: ({ assigneeId }: TaskRow, _: unknown, { loaders }: PlainContext) =>
      assigneeId && loaders.users.load(assigneeId),
    labels: ({ id }: TaskRow, _: unknown, { loaders }: PlainContext) => loaders.labels.load(id),
  },
});
