/** The SQL statements of an import that write comments. */
import { and, sql } from 'drizzle-orm';
import { type CommentId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { comments } from '../comments/comment.table.js';
import { chunksOf, type OnRows, recordset } from './import.repository.js';

export interface WantedComment {
  /** Used if the comment is new. */
  readonly id: CommentId;
  /** Of a comment of the task that was exported from here, and may have no source key. */
  readonly storedId: CommentId | undefined;
  readonly taskId: TaskId;
  readonly authorId: UserId;
  readonly body: string;
  readonly sourceKey: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Becomes `updatedAt` if the body of an existing comment changes. */
  readonly editedAt: string;
}

/** A comment is identified by its task and source key, or by `storedId`. Only its body can change. */
export async function upsertComments(tx: Transaction, wanted: readonly WantedComment[], onRows: OnRows) {
  let created = 0;
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await insertComments(
      tx,
      chunk.filter(({ storedId }) => storedId === undefined),
    );
    created += inserted;
    // Comments that were just inserted are equal and stay untouched.
    if (inserted < chunk.length) updated += await updateComments(tx, chunk);
    onRows(chunk.length);
  }
  return { created, updated };
}

async function insertComments(tx: Transaction, rows: readonly WantedComment[]): Promise<number> {
  if (rows.length === 0) return 0;
  const inserted = await tx
    .insert(comments)
    .values(rows.map(({ editedAt, storedId, ...row }) => row))
    .onConflictDoNothing({ target: [comments.taskId, comments.sourceKey] })
    .returning({ id: comments.id });
  return inserted.length;
}

/** Which of `ids` are comments of these tasks. */
export async function commentsOfTasks(
  tx: Transaction,
  { taskIds, ids }: { readonly taskIds: readonly TaskId[]; readonly ids: readonly CommentId[] },
): Promise<Set<CommentId>> {
  if (ids.length === 0) return new Set();
  const rows = await tx
    .select({ id: comments.id })
    .from(comments)
    .where(
      and(
        sql`${comments.id} = any(${sql.param(ids.map(toUuid))}::uuid[])`,
        sql`${comments.taskId} = any(${sql.param(taskIds.map(toUuid))}::uuid[])`,
      ),
    );
  return new Set(rows.map(({ id }) => id));
}

async function updateComments(tx: Transaction, chunk: readonly WantedComment[]): Promise<number> {
  const given = chunk.map(({ taskId, sourceKey, storedId, body, editedAt }) => ({
    task_id: toUuid(taskId),
    source_key: sourceKey,
    stored_id: storedId && toUuid(storedId),
    body,
    edited_at: editedAt,
  }));
  const columns = sql`task_id uuid, source_key text, stored_id uuid, body text, edited_at timestamptz`;
  const changed = await tx.execute(sql`
    update comments c set body = given.body, updated_at = greatest(c.updated_at, given.edited_at)
    from ${recordset(given, columns)}
    where c.task_id = given.task_id and (c.source_key = given.source_key or c.id = given.stored_id)
      and c.body is distinct from given.body
    returning c.id`);
  return changed.length;
}
