/** How comments are read: rows by id, a task's pages as ids, a task's count. */
import { sql } from 'drizzle-orm';
import { rowsById, shapeOf } from '../db/by-id.js';
import { type CommentId, fromUuid, type TaskId, toUuid } from '../db/ids.js';
import { selectPages } from '../db/page-sql.js';
import type { Source } from '../graphql/loads.js';
import { type Page, type PageQuery, toPage } from '../graphql/page.js';
import { HOUR } from '../time.js';
import { type CommentRow, commentRows, comments } from './comment.table.js';

export const commentById: Source<CommentId, CommentRow | null> = {
  name: 'Comment',
  shape: shapeOf(comments),
  ttlMs: 12 * HOUR,
  scope: 'public',
  tags: (id) => commentRows.byId(id),
  load: (ids, db) => rowsById(db, comments, ids),
};

export interface CommentList extends PageQuery {
  readonly taskId: TaskId;
}

/** A task's comments, oldest first. */
export const commentPages: Source<CommentList, Page<CommentId>> = {
  name: 'TaskComments',
  shape: 'page',
  ttlMs: 12 * HOUR,
  scope: 'public',
  tags: ({ taskId }) => commentRows.byTask(taskId),
  load: async (lists, db) => {
    const pages = await selectPages(db.read, lists.map(pageSql));
    return lists.map(({ limit }, i) =>
      toPage(
        (pages[i] ?? []).map(({ id, sort }) => ({ id: fromUuid('comment', id), sort })),
        limit,
      ),
    );
  },
};

function pageSql({ taskId, limit, after }: CommentList) {
  const position = sql`(${comments.createdAt}, ${comments.id})`;
  const [at, id] = after ?? [];
  const onwards = at && id ? sql`and ${position} > (${at}::timestamptz, ${toUuid(id as CommentId)}::uuid)` : sql``;
  return {
    select: sql`
      select ${comments.id} as id, array[to_char(${comments.createdAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')] as sort,
        row_number() over (order by ${position}) as place
      from ${comments} where ${comments.taskId} = ${toUuid(taskId)}::uuid ${onwards}
      order by ${position} limit ${limit + 1}`,
  };
}

export const commentCountOf: Source<TaskId, number> = {
  name: 'TaskCommentCount',
  shape: 'count',
  ttlMs: 12 * HOUR,
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
