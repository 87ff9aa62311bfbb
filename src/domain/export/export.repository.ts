/**
 * What an export reads, in one read-only transaction with a connection of its own: everything is of one moment, and a
 * slow reader holds no connection of the pool. Rows are fetched by cursors, a batch at a time.
 */
import { isoTextSql } from '../../db/columns.js';
import { type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import { postgresClient, type Sql } from '../../engine/postgres/index.js';
import type { TaskPriority, TaskStatus } from '../tasks/task.table.js';
import type { StoredRelationType } from '../tasks/task-relation.table.js';

/** Tasks in a batch. A hundred of the longest descriptions are 25 MB. */
const BATCH_ROWS = 100;
const CLOSE_TIMEOUT_S = 1;

export interface ExportedProject {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
}

export interface ExportedUser {
  readonly handle: string;
  readonly name: string;
}

export interface ExportedLabel {
  readonly name: string;
  readonly color: string;
  readonly description: string | null;
}

/** Ids are UUIDs, instants ISO texts. */
export interface ExportedTask {
  readonly id: string;
  readonly number: number;
  readonly source: string | null;
  readonly title: string;
  readonly description: string | null;
  readonly status: TaskStatus;
  readonly priority: TaskPriority;
  readonly assignee: string | null;
  readonly assignees: readonly string[];
  readonly creator: string;
  readonly labels: readonly string[];
  readonly parent: string | null;
  /** Key in the manual order. Null if the task was never moved. */
  readonly sortOrder: string | null;
  /** UUIDs of related tasks of the same project, in the order of their numbers. */
  readonly blocks: readonly string[];
  readonly relatesTo: readonly string[];
  readonly duplicateOf: string | null;
  readonly dueDate: string | null;
  readonly startDate: string | null;
  readonly estimate: number | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
}

export interface ExportedComment {
  readonly id: string;
  readonly task: string;
  readonly source: string | null;
  readonly author: string;
  readonly body: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A project by key, for operators; or by id, if this user is active and a member of it. */
export type ExportTarget = { readonly key: string } | { readonly projectId: ProjectId; readonly viewerId: UserId };

export class ExportSnapshot {
  private constructor(
    private readonly sql: Sql,
    readonly project: ExportedProject,
  ) {}

  /** @returns undefined if there is no such project, or the viewer is not an active member */
  static async open(databaseUrl: string, target: ExportTarget): Promise<ExportSnapshot | undefined> {
    const sql = postgresClient(databaseUrl, { max: 1 });
    try {
      await sql.unsafe('begin isolation level repeatable read read only');
      const project = await findProject(sql, target);
      if (project !== undefined) return new ExportSnapshot(sql, project);
    } catch (error) {
      await sql.end({ timeout: CLOSE_TIMEOUT_S });
      throw error;
    }
    await sql.end({ timeout: CLOSE_TIMEOUT_S });
    return undefined;
  }

  /** Ends the transaction and the connection. */
  async close(): Promise<void> {
    await this.sql.end({ timeout: CLOSE_TIMEOUT_S });
  }

  /** The users whom tasks and comments of the project name. */
  users(): AsyncGenerator<ExportedUser[]> {
    const { sql } = this;
    const project = this.project.id;
    return this.#batches(
      'export_users',
      sql`
      select handle, name from users where id in (
        select creator_id from tasks where project_id = ${project}
        union select assignee_id from tasks where project_id = ${project}
        union select unnest(other_assignee_ids) from tasks where project_id = ${project}
        union select c.author_id from comments c join tasks t on t.id = c.task_id where t.project_id = ${project}
      ) order by handle`,
    );
  }

  labels(): AsyncGenerator<ExportedLabel[]> {
    const { sql } = this;
    return this.#batches(
      'export_labels',
      sql`
      select name, color, description from labels where project_id = ${this.project.id} order by name collate "C"`,
    );
  }

  /** In order of creation, which an index has. */
  tasks(): AsyncGenerator<ExportedTask[]> {
    const { sql } = this;
    return this.#batches(
      'export_tasks',
      sql`
      select t.id, t.number, t.source_url as source, t.title, t.description, t.status, t.priority,
        assignee.handle as assignee,
        array(select u.handle from unnest(t.assignee_id || t.other_assignee_ids) with ordinality as a(id, place)
          join users u on u.id = a.id order by a.place) as assignees,
        creator.handle as creator, t.parent_id as parent, t.sort_order as "sortOrder",
        ${this.#related('BLOCKS')} as blocks,
        array(
          select o.id::text from (
            select related_task_id as id from task_relations where task_id = t.id and type = 'RELATES_TO'
            union all select task_id from task_relations where related_task_id = t.id and type = 'RELATES_TO'
          ) as r join tasks o on o.id = r.id where o.project_id = t.project_id order by o.number) as "relatesTo",
        (${this.#related('DUPLICATE_OF')})[1] as "duplicateOf",
        t.due_date::text as "dueDate",
        t.start_date::text as "startDate", t.estimate,
        ${this.#iso('t.created_at')} as "createdAt", ${this.#iso('t.updated_at')} as "updatedAt",
        ${this.#iso('t.completed_at')} as "completedAt",
        array(select l.name from task_labels tl join labels l on l.id = tl.label_id where tl.task_id = t.id
          order by l.name collate "C") as labels
      from tasks t
        join users creator on creator.id = t.creator_id
        left join users assignee on assignee.id = t.assignee_id
      where t.project_id = ${this.project.id} order by t.created_at, t.id`,
    );
  }

  /** Comments of these tasks, in the order of the tasks and of creation. */
  comments(taskUuids: readonly string[]): AsyncGenerator<ExportedComment[]> {
    const { sql } = this;
    return this.#batches(
      'export_comments',
      sql`
      select c.id, c.task_id as task, c.source_key as source, author.handle as author, c.body,
        ${this.#iso('c.created_at')} as "createdAt", ${this.#iso('c.updated_at')} as "updatedAt"
      from unnest(${[...taskUuids]}::uuid[]) with ordinality as given(task_id, place)
        join comments c on c.task_id = given.task_id
        join users author on author.id = c.author_id
      order by given.place, c.created_at, c.id`,
    );
  }

  /** Related tasks of the same project alone: a member may not be allowed to see others. */
  #related(type: StoredRelationType) {
    return this.sql`array(
      select o.id::text from task_relations r join tasks o on o.id = r.related_task_id
      where r.task_id = t.id and r.type = ${type} and o.project_id = t.project_id order by o.number)`;
  }

  #iso(column: string) {
    return this.sql.unsafe(isoTextSql(column));
  }

  async *#batches<Row>(cursor: string, query: ReturnType<Sql>): AsyncGenerator<Row[]> {
    const { sql } = this;
    await sql`declare ${sql(cursor)} no scroll cursor for ${query}`;
    for (;;) {
      const rows = (await sql`fetch ${sql.unsafe(String(BATCH_ROWS))} from ${sql(cursor)}`) as unknown as Row[];
      if (rows.length > 0) yield rows;
      if (rows.length < BATCH_ROWS) break;
    }
    await sql`close ${sql(cursor)}`;
  }
}

async function findProject(sql: Sql, target: ExportTarget): Promise<ExportedProject | undefined> {
  const [project] =
    'key' in target
      ? await sql<ExportedProject[]>`select id, key, name, description from projects where key = ${target.key}`
      : await sql<ExportedProject[]>`
          select p.id, p.key, p.name, p.description from projects p
            join project_members m on m.project_id = p.id and m.user_id = ${toUuid(target.viewerId)}
            join users u on u.id = m.user_id and u.state = 'ACTIVE'
          where p.id = ${toUuid(target.projectId)}`;
  return project;
}
