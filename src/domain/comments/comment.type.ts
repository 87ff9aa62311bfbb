/** Comment as GraphQL shows it, and what its mutations take and give. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { CommentId, TaskId } from '../../db/ids.js';
import { COSTS } from '../../graphql/limits.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { IDEMPOTENCY_KEY, UserError } from '../../graphql/user-error.js';
import type { CommentRow } from './comment.table.js';

/** Its root value is a row of `comments`. */
@ObjectType({ implements: Node, description: 'What someone said on a task.', simpleResolvers: true })
export class Comment extends Node {
  declare id: CommentRow['id'];

  @Field(() => String, { description: 'Markdown.', complexity: COSTS.longTextField })
  body: string;

  @Field(() => GraphQLDateTime, { description: 'When it was written.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, { description: 'When it was last changed.' })
  updatedAt: string;
}

export const { Edge: CommentEdge, Connection: CommentConnection } = connectionTypes('Comment', () => Comment);

@InputType({ description: 'A comment to write.' })
export class CreateCommentInput {
  @Field(() => ID, { description: 'The task it is on.' })
  taskId: TaskId;

  @Field(() => String, { description: 'Markdown, 1 to 65 536 characters.' })
  body: string;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Changes of a comment: what is left out stays.' })
export class UpdateCommentInput {
  @Field(() => ID, { description: 'The comment.' })
  id: CommentId;

  @Field(() => String, { nullable: true, description: 'Markdown, 1 to 65 536 characters; cannot be cleared.' })
  body?: string | null;
}

@InputType({ description: 'A comment to delete.' })
export class DeleteCommentInput {
  @Field(() => ID, { description: 'The comment.' })
  id: CommentId;
}

@ObjectType({ simpleResolvers: true })
abstract class CommentPayload {
  @Field(() => Comment, { nullable: true, description: 'The comment as it is now; null when there are errors.' })
  comment?: CommentRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'What createComment did.', simpleResolvers: true })
export class CreateCommentPayload extends CommentPayload {}

@ObjectType({ description: 'What updateComment did.', simpleResolvers: true })
export class UpdateCommentPayload extends CommentPayload {}

@ObjectType({ description: 'What deleteComment did.', simpleResolvers: true })
export class DeleteCommentPayload {
  @Field(() => ID, { nullable: true, description: 'The id of the comment that is gone; null when there are errors.' })
  deletedCommentId?: CommentId | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
