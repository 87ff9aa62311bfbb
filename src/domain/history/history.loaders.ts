/** Reads of history: pages of a task and of a project, newest first, with their entries. */
import { type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { grouped, pagesOfAlike, uuids } from '../../db/by-id.js';
import { isoText } from '../../db/columns.js';
import { fromUuid, type HistoryId, type Id, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import type { Tag } from '../../engine/cache/index.js';
import type { Database } from '../../engine/postgres/index.js';
import { type Page, type PageItem, type PageQuery, type SortValues, toPage } from '../../graphql/page.js';
import { taskRows } from '../tasks/task.table.js';
import { historyEntries, historyRows, type StoredChange } from './history.table.js';

export interface HistoryEntryValue {
  readonly id: HistoryId;
  readonly at: string;
  readonly actorId: UserId | null;
  readonly projectId: ProjectId;
  readonly taskId: TaskId | null;
  /** As they are stored: a build that knows fewer kinds keeps pages for those that know them. */
  readonly changes: readonly StoredChange[];
}

/** A page with its entries, in the order of its items. An entry is read nowhere else. */
export interface HistoryPage extends Page<HistoryId> {
  readonly entries: readonly HistoryEntryValue[];
}

export interface HistoryList<Owner extends Id> extends PageQuery {
  /** The task or project. */
  readonly of: Owner;
}

export const taskHistory = historySource<TaskId>('TaskHistory', [historyEntries.taskId], (id) => [
  ...taskRows.byId(id),
  ...historyRows.byTask(id),
  ...historyRows.aloneByTask(id),
]);

/** Of a project's tasks and of itself. A task that left it is in its list, too. */
export const projectActivity = historySource<ProjectId>(
  'ProjectActivity',
  [historyEntries.projectId, historyEntries.fromProjectId],
  (id) => [
    ...taskRows.anyByProject(id),
    ...historyRows.byProject(id),
    ...historyRows.byFromProject(id),
    ...historyRows.aloneByProject(id),
  ],
);

/** @param columns each of which may hold the owner */
function historySource<Owner extends Id>(
  name: string,
  columns: readonly AnyPgColumn[],
  tags: (of: Owner) => readonly Tag[],
): Source<HistoryList<Owner>, HistoryPage> {
  return {
    name,
    shape: 'history.2',
    ttlMs: ROW_TTL_MS,
    scope: 'public',
    tags: ({ of }) => tags(of),
    // One statement for all owners that are paged with the same arguments; only aliased fields differ.
    load: (lists, db) => pagesOfAlike(lists, (alike) => pagesOf(alike, columns, db)),
  };
}

/** Whether values from a cursor are the position of an entry. */
export function isHistoryPlace(place: SortValues): boolean {
  return place.length === 1 && /^history_\d{1,18}$/.test(place[0] ?? '');
}

function seqOf([id]: SortValues): number {
  return Number(id?.slice('history_'.length));
}

interface FoundEntry {
  readonly [column: string]: unknown;
  readonly list: number;
  readonly seq: string;
  readonly at: string;
  readonly actor_id: string | null;
  readonly project_id: string;
  readonly task_id: string | null;
  readonly changes: readonly StoredChange[];
}

async function pagesOf<Owner extends Id>(
  lists: readonly HistoryList<Owner>[],
  columns: readonly AnyPgColumn[],
  db: Database,
): Promise<[HistoryList<Owner>, HistoryPage][]> {
  const query = lists[0] as HistoryList<Owner>;
  const order = sql.raw(query.backward ? 'seq' : 'seq desc');
  // One index range for each column.
  const parts = columns.map((column) => sql`(${rowsOf(column, query, order)})`);
  const rows = await db.read.execute<FoundEntry>(sql`
    select list.n::int - 1 as list, page.*
    from unnest(${uuids(lists.map(({ of }) => of))}) with ordinality as list(owner_id, n),
    lateral (
      select * from (${sql.join(parts, sql` union all `)}) as found order by ${order} limit ${query.limit + 1}
    ) as page
    order by list.n, page.${order}`);
  const places = lists.map((_, i) => i);
  const found = grouped(places, rows, ({ list }) => list);
  return lists.map((list, i) => [list, pageOf(found[i] ?? [], list)]);
}

function rowsOf(column: AnyPgColumn, { limit, after, before }: PageQuery, order: SQL): SQL {
  const { seq, at, actorId, projectId, taskId, changes } = historyEntries;
  const older = after === null ? sql`` : sql` and ${seq} < ${seqOf(after)}::bigint`;
  const newer = before === null ? sql`` : sql` and ${seq} > ${seqOf(before)}::bigint`;
  return sql`
    select ${seq} as seq, ${isoText(sql`${at}`)} as at, ${actorId} as actor_id, ${projectId} as project_id,
      ${taskId} as task_id, ${changes} as changes
    from ${historyEntries} where ${column} = list.owner_id${older}${newer} order by ${order} limit ${limit + 1}`;
}

function pageOf(rows: readonly FoundEntry[], query: PageQuery): HistoryPage {
  const entries = new Map(rows.map((row) => [`history_${row.seq}` as HistoryId, row]));
  const items: PageItem<HistoryId>[] = [...entries.keys()].map((id) => ({ id, sort: [] }));
  const page = toPage(items, query);
  return { ...page, entries: page.items.map(({ id }) => entryOf(id, entries.get(id) as FoundEntry)) };
}

function entryOf(id: HistoryId, { at, actor_id, project_id, task_id, changes }: FoundEntry): HistoryEntryValue {
  const projectId = fromUuid('project', project_id);
  return {
    id,
    at,
    actorId: actor_id === null ? null : fromUuid('user', actor_id),
    projectId,
    taskId: task_id === null ? null : fromUuid('task', task_id),
    changes,
  };
}
