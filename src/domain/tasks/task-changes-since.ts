/**
 * What happened to tasks since a cursor, read from the events that triggers write (task-event.table.ts). One statement reads what its own snapshot
 * shows and the cursor's does not, so a chain of cursors brings each committed change exactly once, however late it commits.
 *
 * Changes of one transaction to one task are one change. They are ordered by when they were written; for one task, whose writers wait for
 * each other, that is the order of the commits.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type ProjectId, toUuid } from '../../db/ids.js';
import type { BatchLoad } from '../../db/sources.js';
import type { Database } from '../../engine/postgres/index.js';
import {
  type EventRow,
  eventColumns,
  isEvent,
  perTransaction,
  projectOf,
  type TaskEvent,
  toEvent,
} from './task.events.js';
import { type ChangeCursor, firstUnseen, isExpired, type Snapshot } from './task-change.cursor.js';
import { taskEvents, taskEventsTrim } from './task-event.table.js';

/** With more rows since the cursor, its holder reads everything again: that is less work for both. */
export const MAX_ROWS_SINCE = 10_000;

export interface ChangesQuery {
  /** Absent: from now on. */
  readonly cursor: ChangeCursor | undefined;
  readonly projectIds: readonly ProjectId[];
  readonly first: number;
}

export type ChangesAnswer =
  | {
      readonly kind: 'changes';
      readonly events: readonly TaskEvent[];
      /** More tasks of these changed at once than are listed; null stands for any project. */
      readonly bulk: readonly (ProjectId | null)[];
      readonly next: ChangeCursor;
    }
  /** More than `MAX_ROWS_SINCE`. */
  | { readonly kind: 'too many'; readonly next: ChangeCursor }
  | { readonly kind: 'expired' };

interface Found {
  readonly snapshot: Snapshot;
  readonly below: string;
  readonly count: number;
  /** The rows of the first changes and of one more, by when each change was last written. */
  readonly rows: (EventRow & { readonly place: number })[] | null;
}

/** For `Loads.batch`. Each query is a statement of its own: they rarely come together. */
export const taskChangesSince: BatchLoad<ChangesQuery, ChangesAnswer> = (queries, db) =>
  Promise.all(queries.map((query) => changesOf(query, db)));

async function changesOf(query: ChangesQuery, db: Database): Promise<ChangesAnswer> {
  const { cursor, first } = query;
  const [found] = (await db.read.execute(statement(query))) as unknown as [Found];
  const { snapshot, below, count, rows } = found;
  if (cursor === undefined) return { kind: 'changes', events: [], bulk: [], next: { since: snapshot } };
  if (isExpired(cursor, snapshot, BigInt(below))) return { kind: 'expired' };
  const until = cursor.rest?.until ?? snapshot;
  if (count > MAX_ROWS_SINCE) return { kind: 'too many', next: { since: until } };
  const places = [...new Set((rows ?? []).map(({ place }) => place))].sort((a, b) => a - b);
  const more = places.length > first;
  const after = places[first - 1] ?? 0;
  const page = more ? (rows ?? []).filter(({ place }) => place <= after) : (rows ?? []);
  return {
    kind: 'changes',
    events: perTransaction(page.filter(isEvent).map(toEvent)),
    bulk: page.filter(({ type }) => type === 'MANY').map(({ projectId }) => projectOf(projectId)),
    next: more ? { since: cursor.since, rest: { until, after } } : { since: until },
  };
}

/** Always one row: the snapshot, how far events are trimmed, and with a cursor the rows. */
function statement({ cursor, projectIds, first }: ChangesQuery): SQL {
  const head = sql`pg_current_snapshot()::text as snapshot, (select ${taskEventsTrim.below}::text from ${taskEventsTrim}) as below`;
  if (cursor === undefined) return sql`select ${head}, 0 as count, null as rows`;
  const after = cursor.rest?.after ?? -1;
  return sql`
    with since as materialized (${rowsSince(cursor, projectIds)}),
    changes as (
      select xid, task_id, max(seq) as place from since
      group by xid, task_id, case when type = 'MANY' then seq end
      having max(seq) > ${after}::bigint
      order by place limit ${first + 1}::int
    )
    select ${head}, (select count(*)::int from since) as count, (
      select json_agg(json_build_object(${eventColumns()}, 'place', place) order by seq)
      from changes join since as task_events
        on task_events.xid = changes.xid and task_events.task_id is not distinct from changes.task_id
        and (task_events.type <> 'MANY' or task_events.seq = changes.place)
    ) as rows`;
}

/** What concerns the projects and `until` shows, but `since` does not: by index for each project, and at most one more than are listed. */
function rowsSince({ since, rest }: ChangeCursor, projectIds: readonly ProjectId[]): SQL {
  const { xid, projectId, fromProjectId } = taskEvents;
  const projects = sql`${sql.param(projectIds.map(toUuid))}::uuid[]`;
  // In subqueries, which Postgres computes once: a generic plan would read the text again for each row, and clients choose how long it is.
  const before = sql`(select ${since}::text::pg_snapshot)`;
  const until = rest && sql` and pg_visible_in_snapshot(${xid}, (select ${rest.until}::text::pg_snapshot))`;
  const first = sql`${String(firstUnseen(since))}::text::xid8`;
  const unseen = sql`${xid} >= ${first} and not pg_visible_in_snapshot(${xid}, ${before})${until}`;
  return sql`
    (select * from ${taskEvents} where ${projectId} = any(${projects}) and ${unseen})
    union all
    (select * from ${taskEvents} where ${fromProjectId} = any(${projects}) and ${projectId} <> all(${projects}) and ${unseen})
    union all
    (select * from ${taskEvents} where ${projectId} is null and ${unseen})
    limit ${MAX_ROWS_SINCE + 1}`;
}
