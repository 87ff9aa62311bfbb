/** Writes of comments. */
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import type { UserId } from '../db/ids.js';
import { idInput, parseInput, textInput } from '../graphql/user-error.js';
import type { Transactor } from '../invalidation/transact.js';
import { notFound, requireWriter } from '../projects/access.js';
import { tasks } from '../tasks/task.table.js';
import { comments } from './comment.table.js';
import type { CreateCommentInput } from './comment.type.js';

const createCommentInput = z.object({
  taskId: idInput('task'),
  body: textInput(1, 65_536),
});

export class CommentService {
  constructor(private readonly transactor: Transactor) {}

  create(viewerId: UserId, input: CreateCommentInput) {
    return this.transactor.transact(async (tx) => {
      const { taskId, body } = parseInput(createCommentInput, input);
      const refusal = { what: 'task', path: ['input', 'taskId'] };
      // Key share: the task cannot be deleted before the comment is in.
      const [task] = await tx
        .select({ projectId: tasks.projectId })
        .from(tasks)
        .where(eq(tasks.id, taskId))
        .for('key share');
      if (task === undefined) throw notFound(refusal.what, refusal.path);
      await requireWriter(tx, viewerId, task.projectId, refusal);
      const [comment] = await tx.insert(comments).values({ taskId, authorId: viewerId, body }).returning();
      return { comment: comment ?? null };
    });
  }
}
