/** Fields and mutations of Comment, and the comment fields of Task. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Args, Ctx, FieldResolver, Int, Mutation, Resolver, Root } from 'type-graphql';
import { isInstant } from '../../db/columns.js';
import { isId } from '../../db/ids.js';
import { Cached } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import { connection, PageArgs, pageQuery, type SortValues } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import type { MarkdownHtml } from '../markdown/markdown.js';
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
  constructor(
    private readonly service: CommentService,
    private readonly markdownHtml: MarkdownHtml,
  ) {}

  @FieldResolver(() => String, {
    description: 'Text as HTML that is safe to insert into a page. HTML in the Markdown shows as text.',
    complexity: COSTS.longTextField,
  })
  bodyHTML(@Root() { body }: CommentRow, @Ctx() context: Context) {
    return this.markdownHtml(context, body);
  }

  @FieldResolver(() => GraphQLDateTime, {
    nullable: true,
    description: 'When the text was last changed. Null if it never was.',
  })
  editedAt(@Root() { createdAt, updatedAt }: CommentRow) {
    return updatedAt === createdAt ? null : updatedAt;
  }

  @FieldResolver(() => User, { description: 'User who wrote the comment.' })
  @Cached(userById)
  author(@Root() comment: CommentRow) {
    return comment.authorId;
  }

  @FieldResolver(() => Task, { description: 'Task the comment is on.' })
  @Cached(taskById)
  task(@Root() comment: CommentRow) {
    return comment.taskId;
  }

  @FieldResolver(() => Boolean, { description: 'Whether the viewer can update the comment. Only its author can.' })
  async viewerCanUpdate(@Root() comment: CommentRow, @Ctx() context: Context) {
    return mayUpdateComment(comment, context.viewerId, await writingRoleOn(context, comment));
  }

  @FieldResolver(() => Boolean, {
    description: 'Whether the viewer can delete the comment. Its author and the OWNERs of the project can.',
  })
  async viewerCanDelete(@Root() comment: CommentRow, @Ctx() context: Context) {
    return mayDeleteComment(comment, context.viewerId, await writingRoleOn(context, comment));
  }

  @Mutation(() => CreateCommentPayload, { description: 'Adds a comment to a task.' })
  createComment(
    @Ctx() context: Context,
    @Arg('input', () => CreateCommentInput, { description: 'The comment to create.' }) input: CreateCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateCommentPayload, { description: 'Updates a comment. Only its author can.' })
  updateComment(
    @Ctx() context: Context,
    @Arg('input', () => UpdateCommentInput, { description: 'The comment and its new text.' }) input: UpdateCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => DeleteCommentPayload, {
    description: 'Deletes a comment. Its author and the OWNERs of the project can.',
  })
  deleteComment(
    @Ctx() context: Context,
    @Arg('input', () => DeleteCommentInput, { description: 'The comment to delete.' }) input: DeleteCommentInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }
}

async function writingRoleOn(context: Context, { taskId }: CommentRow): Promise<Role | undefined> {
  const task = await context.loaders.load(taskById, taskId);
  return task === null ? undefined : writingRoleIn(context, task.projectId);
}

/** The comment fields of Task; this folder owns the foreign key. */
@Resolver(() => Task)
export class TaskCommentsResolver {
  @FieldResolver(() => CommentConnection, { description: 'Comments on the task, oldest first.' })
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

  @FieldResolver(() => Int, { description: 'Number of comments on the task.' })
  @Cached(commentCountOf)
  commentCount(@Root() task: TaskRow) {
    return task.id;
  }
}

function isPosition([at, id]: SortValues): boolean {
  return isInstant(at ?? '') && isId('comment', id ?? '');
}
