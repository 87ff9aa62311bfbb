/**
 * Changes of tasks since a cursor, read from the events that triggers write (task-event.table.ts). One statement reads
 * what its own snapshot shows and the cursor's does not. Following the cursors returns each committed change exactly
 * once, however late it commits.
 *
 * All changes of one task in one transaction are one change. They are ordered by when they were written. For one task
 * this is commit order, because its writers wait for each other. Except: a task that is deleted or restored takes its
 * relations along without waiting for writers of the related tasks, so that change of a related task may come before or
 * after one with an earlier or the same version.
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

/** With more rows since the cursor the client must refetch, which is cheaper for both sides. */
export const MAX_ROWS_SINCE = 10_000;

export interface ChangesQuery {
  /** Absent: start from now. */
  readonly cursor: ChangeCursor | undefined;
  readonly projectIds: readonly ProjectId[];
  readonly first: number;
}

export type ChangesAnswer =
  | {
      readonly kind: 'changes';
      readonly events: readonly TaskEvent[];
      /** Projects in which more tasks changed than are listed; null means any project. */
      readonly bulk: readonly (ProjectId | null)[];
      readonly next: ChangeCursor;
    }
  /** More rows than `MAX_ROWS_SINCE`. */
  | { readonly kind: 'too many'; readonly next: ChangeCursor }
  | { readonly kind: 'expired' };

interface Found {
  readonly snapshot: Snapshot;
  readonly below: string;
  readonly count: number;
  /** The rows of one page and one more change, ordered by the last write of each change. */
  readonly rows: (EventRow & { readonly place: number })[] | null;
}

/** Used with `loadUncached`. Each query is its own statement, since several rarely arrive together. */
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

/** Returns exactly one row: the snapshot, the trim position, and with a cursor the rows. */
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

/**
 * Rows of these projects that `until` shows and `since` does not. Uses one index range per project and returns at most
 * one row more than the limit.
 */
function rowsSince({ since, rest }: ChangeCursor, projectIds: readonly ProjectId[]): SQL {
  const { xid, projectId, fromProjectId } = taskEvents;
  const projects = sql`${sql.param(projectIds.map(toUuid))}::uuid[]`;
  // Subqueries are computed once. A generic plan would parse the text again for each row, and clients choose its
  // length.
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
