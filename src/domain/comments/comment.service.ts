/** Writes of comments. */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { CommentId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transaction, Transactor } from '../../engine/postgres/index.js';
import { Faults, readForm, requireField } from '../../graphql/form.js';
import { idempotencyKeyInput, idInput, notNull, parseInput, textInput } from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { forbidden, notFound } from '../projects/access.js';
import { projectMembers, type Role } from '../projects/project.table.js';
import { lockTaskShared } from '../tasks/task.locks.js';
import { tasks } from '../tasks/task.table.js';
import { taskDocuments } from '../tasks/task-document.table.js';
import { type CommentRow, comments, mayDeleteComment, mayUpdateComment } from './comment.table.js';
import type { CreateCommentInput, DeleteCommentInput, UpdateCommentInput } from './comment.type.js';

const body = textInput(TEXTS.commentBody);
const createCommentInput = z.object({ taskId: idInput('task'), body, idempotencyKey: idempotencyKeyInput });
const commentInput = z.object({ id: idInput('comment') });
const updateCommentInput = commentInput.extend({ body: notNull(body) });

const COMMENT = { what: 'comment', path: ['input', 'id'] };

export class CommentService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  async create(by: Writer, given: CreateCommentInput) {
    const { viewerId } = by;
    const form = readForm(createCommentInput, given);
    const taskId = requireField(form, 'taskId');
    const { value, tags } = await this.idempotency.create({
      by,
      operation: 'createComment',
      prefix: 'comment',
      form,
      create: async (tx, id) => {
        const faults = new Faults(form);
        await faults.check(() => lockTaskShared(tx, viewerId, taskId, { what: 'task', path: ['input', 'taskId'] }));
        const { body } = faults.complete(form);
        const [comment] = await tx.insert(comments).values({ id, taskId, authorId: viewerId, body }).returning();
        return comment as CommentRow;
      },
      find: (db, id) => visibleComment(db, viewerId, id),
    });
    return { value: { comment: value }, tags };
  }

  update(by: Writer, given: UpdateCommentInput) {
    const { viewerId } = by;
    const form = readForm(updateCommentInput, given);
    const id = requireField(form, 'id');
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const { comment, role } = await faults.require(() => commentToWrite(tx, viewerId, id));
      if (!mayUpdateComment(comment, viewerId, role)) {
        faults.add(forbidden('only its author may change a comment', COMMENT.path));
      }
      const { body } = faults.complete(form);
      if (body === undefined || body === comment.body) return { comment };
      const [updated] = await tx
        .update(comments)
        .set({ body, updatedAt: sql`now()` })
        .where(eq(comments.id, id))
        .returning();
      return { comment: updated as CommentRow };
    }, by);
  }

  delete(by: Writer, given: DeleteCommentInput) {
    const { viewerId } = by;
    const { id } = parseInput(commentInput, given);
    return this.transactor.transact(async (tx) => {
      const { comment, role } = await commentToWrite(tx, viewerId, id);
      if (!mayDeleteComment(comment, viewerId, role)) {
        throw forbidden('only its author, or an OWNER of the project, may delete a comment', COMMENT.path);
      }
      await tx.delete(comments).where(eq(comments.id, id));
      return { deletedCommentId: id };
    }, by);
  }
}

/**
 * Locks the comment if the viewer can write in its project; also returns the viewer's role. A comment never changes its
 * task. The document of the task is locked before it, since a change of several comments holds that from the first one
 * on. @throws Refusal
 */
async function commentToWrite(
  tx: Transaction,
  viewerId: UserId,
  id: CommentId,
): Promise<{ comment: CommentRow; role: Role }> {
  const [known] = await tx.select({ taskId: comments.taskId }).from(comments).where(eq(comments.id, id));
  if (known === undefined) throw notFound(COMMENT.what, COMMENT.path);
  const role = await lockTaskShared(tx, viewerId, known.taskId, COMMENT);
  await tx.execute(sql`select from ${taskDocuments} where ${eq(taskDocuments.taskId, known.taskId)} for update`);
  const [comment] = await tx.select().from(comments).where(eq(comments.id, id)).for('update');
  if (comment === undefined) throw notFound(COMMENT.what, COMMENT.path);
  return { comment, role };
}

async function visibleComment(db: Executor, viewerId: UserId, id: CommentId): Promise<CommentRow | undefined> {
  const [found] = await db
    .select({ comment: comments })
    .from(comments)
    .innerJoin(tasks, eq(tasks.id, comments.taskId))
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, tasks.projectId), eq(projectMembers.userId, viewerId)))
    .where(eq(comments.id, id));
  return found?.comment;
}
