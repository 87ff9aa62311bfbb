/** What the fan-out reads: its cursor, new task events, and the webhooks and tasks that they concern. */
import { isoTextSql } from '../../db/columns.js';
import { fromUuid, type ProjectId, type TaskId, toUuid, type WebhookId } from '../../db/ids.js';
import type { Sql } from '../../engine/postgres/index.js';
import type { EventRow, TaskEvent } from '../tasks/task.events.js';
import { type ChangeCursor, firstUnseen, type Snapshot } from '../tasks/task-change.cursor.js';

export interface NewRows {
  readonly snapshot: Snapshot;
  /** Events of transactions below this id may be gone. */
  readonly below: bigint;
  readonly rows: readonly EventRow[];
  /** The place up to which `rows` are complete. Null: all that the cursor has not seen are there. */
  readonly end: number | null;
}

/** A webhook that may want an event. */
export interface Target {
  readonly id: WebhookId;
  readonly projectId: ProjectId;
  readonly events: readonly string[];
  /** Its pending deliveries, counted up to `maxPending`. */
  readonly pending: number;
}

/** @returns undefined while no webhook is enabled */
export async function readCursor(sql: Sql): Promise<ChangeCursor | undefined> {
  const [found] = await sql<{ since: Snapshot; until: Snapshot | null; place: string | null }[]>`
    select since, until, place::text from webhook_cursor where exists (select from webhooks where enabled)`;
  if (found === undefined) return undefined;
  const { since, until, place } = found;
  return { since, ...(until !== null && place !== null && { rest: { until, after: Number(place) } }) };
}

/**
 * The next events of projects with webhooks that the cursor has not seen, at most `max`. A change is read at the place
 * of its last event, with all its events.
 *
 * A dump that is restored into another cluster brings transaction ids that this one has not assigned yet. They are in
 * no snapshot: such events are left out, and such a trim line says nothing.
 */
export async function readNewRows(sql: Sql, { since, rest }: ChangeCursor, max: number): Promise<NewRows> {
  const hasWebhook = sql`in (select project_id from hooked)`;
  // Subqueries are computed once: see task-changes-since.ts.
  const before = sql`(select ${since}::text::pg_snapshot)`;
  const assigned = sql`(select pg_snapshot_xmax(pg_current_snapshot()))`;
  const isUntil = rest ? sql`and pg_visible_in_snapshot(xid, (select ${rest.until}::text::pg_snapshot))` : sql``;
  const isUnseen = sql`
    xid >= ${String(firstUnseen(since))}::text::xid8 and xid < ${assigned}
    and not pg_visible_in_snapshot(xid, ${before}) ${isUntil}
    and (project_id is null or project_id ${hasWebhook} or from_project_id ${hasWebhook})`;
  const after = sql`${rest?.after ?? -1}::bigint`;
  const [found] = await sql<{ snapshot: Snapshot; below: string; end: number | null; rows: EventRow[] | null }[]>`
    with hooked as materialized (select distinct project_id from webhooks where enabled),
    places as materialized (
      select xid, seq from task_events where ${isUnseen} and seq > ${after} order by seq limit ${max}
    ),
    since as materialized (select * from task_events where xid in (select xid from places) and ${isUnseen}),
    changes as (
      select xid, task_id, max(seq) as place from since
      group by xid, task_id, case when type = 'MANY' then seq end
      having max(seq) > ${after} and max(seq) <= (select max(seq) from places)
    )
    select pg_current_snapshot()::text as snapshot,
      coalesce((select below::text from task_events_trim where below <= ${assigned}), '0') as below,
      (select case when count(*) = ${max}::int then max(seq)::float8 end from places) as end,
      (
        select json_agg(json_build_object(
          'xid', e.xid::text, 'type', e.type, 'taskId', e.task_id, 'projectId', e.project_id,
          'fromProjectId', e.from_project_id, 'version', e.version, 'changedFields', e.changed_fields,
          'at', ${sql.unsafe(isoTextSql('e.at'))}, 'actorId', e.actor_id)
          order by e.seq)
        from changes join since as e
          on e.xid = changes.xid and e.task_id is not distinct from changes.task_id
          and (e.type <> 'MANY' or e.seq = changes.place)
      ) as rows`;
  const { snapshot, below, end, rows } = found as NonNullable<typeof found>;
  return { snapshot, below: BigInt(below), end, rows: rows ?? [] };
}

interface Wanted {
  readonly events: readonly TaskEvent[];
  readonly bulk: readonly EventRow[];
  readonly maxPending: number;
}

/**
 * The enabled webhooks of the projects of these events, but of deleted ones, and the identifiers of their tasks, those
 * in the trash too.
 */
export async function readTargets(sql: Sql, { events, bulk, maxPending }: Wanted) {
  const ofEvents = events.flatMap(({ projectId, fromProjectId }) => [projectId, fromProjectId ?? projectId]);
  const projects = [...ofEvents.map(toUuid), ...bulk.flatMap(({ projectId }) => projectId ?? [])];
  const all = bulk.some(({ projectId }) => projectId === null);
  const found = await sql<{ id: string; project_id: string; events: string[]; pending: number }[]>`
    select w.id, w.project_id, w.events, (
      select count(*)::int from (
        select from webhook_deliveries d where d.webhook_id = w.id and d.state = 'PENDING' limit ${maxPending}
      ) as counted
    ) as pending
    from webhooks w
    where w.enabled and not exists (select from trashed_projects t where t.id = w.project_id)
      and (${all} or w.project_id = any(${[...new Set(projects)]}::uuid[]))`;
  const targets = found.map(
    ({ id, project_id, ...rest }): Target => ({
      ...rest,
      id: fromUuid('webhook', id),
      projectId: fromUuid('project', project_id),
    }),
  );
  return { targets, tasks: await readTasks(sql, events) };
}

async function readTasks(sql: Sql, events: readonly TaskEvent[]) {
  const ids = [...new Set(events.map(({ taskId }) => toUuid(taskId)))];
  const found = await sql<{ id: string; project_id: string; identifier: string }[]>`
    select t.id, t.project_id, p.key || '-' || t.number as identifier
    from (
      select id, project_id, number from tasks where id = any(${ids}::uuid[])
      union all
      select id, project_id, number from trashed_tasks where id = any(${ids}::uuid[])
    ) as t join projects p on p.id = t.project_id`;
  return new Map(
    found.map(({ id, project_id, identifier }) => [
      fromUuid('task', id) as TaskId,
      { projectId: fromUuid('project', project_id) as ProjectId, identifier },
    ]),
  );
}
