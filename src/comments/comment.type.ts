/** Comment as GraphQL shows it, and what its mutation takes and gives. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { TaskId } from '../db/ids.js';
import { Node } from '../graphql/node.js';
import { connectionTypes } from '../graphql/page.js';
import { UserError } from '../graphql/user-error.js';
import type { CommentRow } from './comment.table.js';

/** Its root value is a row of `comments`. */
@ObjectType({ implements: Node, description: 'What someone said on a task.', simpleResolvers: true })
export class Comment extends Node {
  declare id: CommentRow['id'];

  @Field(() => String, { description: 'Markdown.' })
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
}

@ObjectType({ description: 'What createComment did.', simpleResolvers: true })
export class CreateCommentPayload {
  @Field(() => Comment, { nullable: true, description: 'The new comment; null when there are errors.' })
  comment?: CommentRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
