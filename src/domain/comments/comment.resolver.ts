/** The fields of Comment, what Task gets from comments, and the mutations of comments. */
import { Arg, Args, Ctx, FieldResolver, Int, Mutation, Resolver, Root } from 'type-graphql';
import { isInstant } from '../../db/columns.js';
import { isId } from '../../db/ids.js';
import { Cached } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageQuery, type SortValues } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { writingRoleIn } from '../projects/access.js';
import type { Role } from '../projects/project.table.js';
import { taskById } from '../tasks/task.loaders.js';
import type { TaskRow } from '../tasks/task.table.js';
import { Task } from '../tasks/task.type.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import { commentById, commentCountOf, commentPages } from './comment.loaders.js';
import type { CommentService } from './comment.service.js';
import { type CommentRow, mayDeleteComment, mayUpdateComment } from './comment.table.js';
import {
  Comment,
  CommentConnection,
  CreateCommentInput,
  CreateCommentPayload,
  DeleteCommentInput,
  DeleteCommentPayload,
  UpdateCommentInput,
  UpdateCommentPayload,
} from './comment.type.js';

@Resolver(() => Comment)
export class CommentResolver {
  constructor(private readonly service: CommentService) {}

  @FieldResolver(() => User, { description: 'Who wrote it.' })
  @Cached(userById)
  author(@Root() comment: CommentRow) {
    return comment.authorId;
  }

  @FieldResolver(() => Task, { description: 'The task it is on.' })
  @Cached(taskById)
  task(@Root() comment: CommentRow) {
    return comment.taskId;
  }

  @FieldResolver(() => Boolean, { description: 'Whether the viewer may change it: its author may.' })
  async viewerCanUpdate(@Root() comment: CommentRow, @Ctx() context: Context) {
    return mayUpdateComment(comment, context.viewerId, await writingRoleOn(context, comment));
  }

  @FieldResolver(() => Boolean, {
    description: "Whether the viewer may delete it: its author and the project's OWNERs may.",
  })
  async viewerCanDelete(@Root() comment: CommentRow, @Ctx() context: Context) {
    return mayDeleteComment(comment, context.viewerId, await writingRoleOn(context, comment));
  }

  @Mutation(() => CreateCommentPayload, { description: 'Writes a comment on a task.' })
  createComment(
    @Ctx() context: Context,
    @Arg('input', () => CreateCommentInput, { description: 'The comment.' }) input: CreateCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateCommentPayload, { description: 'Changes a comment; its author may.' })
  updateComment(
    @Ctx() context: Context,
    @Arg('input', () => UpdateCommentInput, { description: 'The changes.' }) input: UpdateCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => DeleteCommentPayload, { description: "Deletes a comment; its author and the project's OWNERs may." })
  deleteComment(
    @Ctx() context: Context,
    @Arg('input', () => DeleteCommentInput, { description: 'The comment.' }) input: DeleteCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }
}

async function writingRoleOn(context: Context, { taskId }: CommentRow): Promise<Role | undefined> {
  const task = await context.loaders.load(taskById, taskId);
  return task === null ? undefined : writingRoleIn(context, task.projectId);
}

/** The comments' end of the edge: this folder owns the foreign key. */
@Resolver(() => Task)
export class TaskCommentsResolver {
  @FieldResolver(() => CommentConnection, { description: 'What was said on it, oldest first.' })
  comments(@Root() task: TaskRow, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'comments', isPosition);
    return connection({
      list: 'comments',
      query,
      page: () => loaders.load(commentPages, { taskId: task.id, ...query }),
      nodes: (ids) => loaders.loadMany(commentById, ids),
      count: () => loaders.load(commentCountOf, task.id),
    });
  }

  @FieldResolver(() => Int, { description: 'How many comments it has.' })
  @Cached(commentCountOf)
  commentCount(@Root() task: TaskRow) {
    return task.id;
  }
}

function isPosition([at, id]: SortValues): boolean {
  return isInstant(at ?? '') && isId('comment', id ?? '');
}
