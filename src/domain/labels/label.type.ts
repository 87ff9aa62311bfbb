/** GraphQL types of labels. */
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { LabelId, ProjectId } from '../../db/ids.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { IDEMPOTENCY_KEY, UserError } from '../../graphql/user-error.js';
import type { LabelRow } from './label.table.js';

/** Resolves from a row of `labels`. */
@ObjectType({
  implements: Node,
  description: 'A label of a project. Marks tasks of that project.',
  simpleResolvers: true,
})
export class Label extends Node {
  declare id: LabelRow['id'];

  @Field(() => String, { description: 'Name, unique within the project.' })
  name: string;

  @Field(() => String, { description: 'Hex color, for example #1d76db.' })
  color: string;

  @Field(() => String, { nullable: true, description: 'What the label is used for. Null if it has no description.' })
  description: string | null;
}

export const { Edge: LabelEdge, Connection: LabelConnection } = connectionTypes('Label', () => Label);

@InputType({ description: 'Input for the mutation createLabel.' })
export class CreateLabelInput {
  @Field(() => ID, { description: 'Id of the project to create the label in.' })
  projectId: ProjectId;

  @Field(() => String, { description: 'Name, a single line of 1-100 characters, unique within the project.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Hex color, for example #1d76db. Defaults to gray.' })
  color?: string | null;

  @Field(() => String, { nullable: true, description: 'Up to 1,000 characters. A blank text is stored as `null`.' })
  description?: string | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Input for the mutation updateLabel. Omitted fields stay unchanged; `null` clears a field.' })
export class UpdateLabelInput {
  @Field(() => ID, { description: 'Id of the label to update.' })
  id: LabelId;

  @Field(() => String, {
    nullable: true,
    description: 'Name, a single line of 1-100 characters, unique within the project. Cannot be null.',
  })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Hex color, for example #1d76db. Cannot be null.' })
  color?: string | null;

  @Field(() => String, { nullable: true, description: 'Up to 1,000 characters. `null` or a blank text clears it.' })
  description?: string | null;
}

@InputType({ description: 'Input for the mutation deleteLabel.' })
export class DeleteLabelInput {
  @Field(() => ID, { description: 'Id of the label to delete. It is removed from all tasks.' })
  id: LabelId;
}

@ObjectType({ simpleResolvers: true })
abstract class LabelPayload {
  @Field(() => Label, { nullable: true, description: 'The label after the mutation. Null if there are errors.' })
  label?: LabelRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation createLabel.', simpleResolvers: true })
export class CreateLabelPayload extends LabelPayload {}

@ObjectType({ description: 'Result of the mutation updateLabel.', simpleResolvers: true })
export class UpdateLabelPayload extends LabelPayload {}

@ObjectType({ description: 'Result of the mutation deleteLabel.', simpleResolvers: true })
export class DeleteLabelPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the deleted label. Null if there are errors.' })
  deletedLabelId?: LabelId | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
