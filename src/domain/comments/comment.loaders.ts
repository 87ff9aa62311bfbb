/** How comments are read: rows by id, a task's pages as ids, a task's count. */
import { sql } from 'drizzle-orm';
import { grouped, uuids } from '../../db/by-id.js';
import { isoText } from '../../db/columns.js';
import { type CommentId, fromUuid, type TaskId, toUuid } from '../../db/ids.js';
import { behindSql, orderBySql, reversed, type SortColumn } from '../../db/page-sql.js';
import type { Source } from '../../db/sources.js';
import { ROW_TTL_MS, rowSource } from '../../db/sources.js';
import type { Database } from '../../engine/postgres/index.js';
import { type Page, type PageQuery, type SortValues, toPage } from '../../graphql/page.js';
import { commentRows, comments } from './comment.table.js';

export const commentById = rowSource('Comment', comments, (id: CommentId) => commentRows.byId(id));

export interface CommentList extends PageQuery {
  readonly taskId: TaskId;
}

/** A task's comments, oldest first. */
export const commentPages: Source<CommentList, Page<CommentId>> = {
  name: 'TaskComments',
  shape: 'page.2',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: ({ taskId }) => commentRows.byTask(taskId),
  // One statement for all tasks whose pages are asked for alike, which is all of them but for aliased fields.
  load: async (lists, db) => {
    const asked = ({ taskId: _, ...query }: CommentList) => JSON.stringify(query);
    const alike = grouped([...new Set(lists.map(asked))], lists, asked);
    const pages = await Promise.all(alike.map((group) => pagesOf(group, db)));
    const byList = new Map(pages.flat());
    return lists.map((list) => byList.get(list) as Page<CommentId>);
  },
};

const OLDEST_FIRST: readonly SortColumn[] = [
  {
    column: sql`${comments.createdAt}`,
    type: 'timestamptz',
    descending: false,
    text: isoText(sql`${comments.createdAt}`),
  },
  { column: sql`${comments.id}`, type: 'uuid', descending: false },
];

async function pagesOf(lists: readonly CommentList[], db: Database): Promise<[CommentList, Page<CommentId>][]> {
  const { limit, backward, after, before } = lists[0] as CommentList;
  const columns = backward ? reversed(OLDEST_FIRST) : OLDEST_FIRST;
  const place = ([at, id]: SortValues) => [at ?? null, toUuid(id as CommentId)];
  const between = [
    ...(after === null ? [] : [sql` and ${behindSql(OLDEST_FIRST, place(after))}`]),
    ...(before === null ? [] : [sql` and ${behindSql(reversed(OLDEST_FIRST), place(before))}`]),
  ];
  const sorted = orderBySql(columns);
  const rows = await db.read.execute<{ list: number; id: string; sort: string[] }>(sql`
    select list.n::int - 1 as list, page.id, page.sort
    from unnest(${uuids(lists.map(({ taskId }) => taskId))}) with ordinality as list(task_id, n),
    lateral (
      select ${comments.id} as id, array[${isoText(sql`${comments.createdAt}`)}] as sort,
        row_number() over (order by ${sorted}) as place
      from ${comments} where ${comments.taskId} = list.task_id${sql.join(between)}
      order by ${sorted} limit ${limit + 1}
    ) as page
    order by list.n, page.place`);
  const items = grouped(
    lists.map((_, i) => i),
    rows,
    ({ list }) => list,
  );
  return lists.map((list, i) => {
    const found = (items[i] ?? []).map((row) => ({ id: fromUuid('comment', row.id), sort: row.sort }));
    return [list, toPage(found, list)];
  });
}

export const commentCountOf: Source<TaskId, number> = {
  name: 'TaskCommentCount',
  shape: 'count',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (taskId) => commentRows.byTask(taskId),
  load: async (taskIds, db) => {
    const statement = db.prepared('comment_counts', (read, name) =>
      read
        .select({ taskId: comments.taskId, count: sql<number>`count(*)::int` })
        .from(comments)
        .where(sql`${comments.taskId} = any(${sql.placeholder('ids')}::uuid[])`)
        .groupBy(comments.taskId)
        .prepare(name),
    );
    const rows = await statement.execute({ ids: taskIds.map(toUuid) });
    const counts = new Map(rows.map(({ taskId, count }) => [taskId, count]));
    return taskIds.map((id) => counts.get(id) ?? 0);
  },
};
