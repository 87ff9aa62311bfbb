/** Label as GraphQL shows it, and what its mutations take and give. */
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { LabelId, ProjectId } from '../../db/ids.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { IDEMPOTENCY_KEY, UserError } from '../../graphql/user-error.js';
import type { LabelRow } from './label.table.js';

/** Its root value is a row of `labels`. */
@ObjectType({ implements: Node, description: 'A label of a project, for its tasks.', simpleResolvers: true })
export class Label extends Node {
  declare id: LabelRow['id'];

  @Field(() => String, { description: 'Unique within the project.' })
  name: string;

  @Field(() => String, { description: 'Like #1d76db.' })
  color: string;

  @Field(() => String, { nullable: true, description: 'What it is used for.' })
  description: string | null;
}

export const { Edge: LabelEdge, Connection: LabelConnection } = connectionTypes('Label', () => Label);

@InputType({ description: 'A label to create.' })
export class CreateLabelInput {
  @Field(() => ID, { description: 'The project that the label belongs to.' })
  projectId: ProjectId;

  @Field(() => String, { description: 'One line, 1-100 characters, unique within the project.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Like #1d76db; grey when left out.' })
  color?: string | null;

  @Field(() => String, { nullable: true, description: 'At most 1 000 characters. A blank text is the same as `null`.' })
  description?: string | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Changes of a label: what is left out stays, `null` clears.' })
export class UpdateLabelInput {
  @Field(() => ID, { description: 'The label.' })
  id: LabelId;

  @Field(() => String, {
    nullable: true,
    description: 'One line, 1-100 characters, unique within the project; cannot be cleared.',
  })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Like #1d76db; cannot be cleared.' })
  color?: string | null;

  @Field(() => String, { nullable: true, description: 'At most 1 000 characters. `null` or a blank text clears it.' })
  description?: string | null;
}

@InputType({ description: 'A label to delete.' })
export class DeleteLabelInput {
  @Field(() => ID, { description: 'The label. It is removed from all tasks.' })
  id: LabelId;
}

@ObjectType({ simpleResolvers: true })
abstract class LabelPayload {
  @Field(() => Label, { nullable: true, description: 'The label as it is now; null when there are errors.' })
  label?: LabelRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'What createLabel did.', simpleResolvers: true })
export class CreateLabelPayload extends LabelPayload {}

@ObjectType({ description: 'What updateLabel did.', simpleResolvers: true })
export class UpdateLabelPayload extends LabelPayload {}

@ObjectType({ description: 'What deleteLabel did.', simpleResolvers: true })
export class DeleteLabelPayload {
  @Field(() => ID, { nullable: true, description: 'The id of the label that is gone; null when there are errors.' })
  deletedLabelId?: LabelId | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
