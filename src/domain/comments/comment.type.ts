/** GraphQL types of comments. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { CommentId, TaskId } from '../../db/ids.js';
import { COSTS } from '../../graphql/limits.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { IDEMPOTENCY_KEY, UserError } from '../../graphql/user-error.js';
import type { CommentRow } from './comment.table.js';

/** Resolves from a row of `comments`. */
@ObjectType({ implements: Node, description: 'A comment on a task.', simpleResolvers: true })
export class Comment extends Node {
  declare id: CommentRow['id'];

  @Field(() => String, { description: 'Text of the comment in Markdown.', complexity: COSTS.longTextField })
  body: string;

  @Field(() => GraphQLDateTime, { description: 'When the comment was created.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, { description: 'When the comment was last updated.' })
  updatedAt: string;
}

export const { Edge: CommentEdge, Connection: CommentConnection } = connectionTypes('Comment', () => Comment);

@InputType({ description: 'Input for the mutation createComment.' })
export class CreateCommentInput {
  @Field(() => ID, { description: 'Id of the task to comment on.' })
  taskId: TaskId;

  @Field(() => String, { description: 'Text in Markdown, 1-65,536 characters.' })
  body: string;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Input for the mutation updateComment. Omitted fields stay unchanged.' })
export class UpdateCommentInput {
  @Field(() => ID, { description: 'Id of the comment to update.' })
  id: CommentId;

  @Field(() => String, { nullable: true, description: 'Text in Markdown, 1-65,536 characters. Cannot be null.' })
  body?: string | null;
}

@InputType({ description: 'Input for the mutation deleteComment.' })
export class DeleteCommentInput {
  @Field(() => ID, { description: 'Id of the comment to delete.' })
  id: CommentId;
}

@ObjectType({ simpleResolvers: true })
abstract class CommentPayload {
  @Field(() => Comment, { nullable: true, description: 'The comment after the mutation. Null if there are errors.' })
  comment?: CommentRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation createComment.', simpleResolvers: true })
export class CreateCommentPayload extends CommentPayload {}

@ObjectType({ description: 'Result of the mutation updateComment.', simpleResolvers: true })
export class UpdateCommentPayload extends CommentPayload {}

@ObjectType({ description: 'Result of the mutation deleteComment.', simpleResolvers: true })
export class DeleteCommentPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the deleted comment. Null if there are errors.' })
  deletedCommentId?: CommentId | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
