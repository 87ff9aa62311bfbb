/** Project as GraphQL shows it, and what its mutation takes and gives. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, InputType, ObjectType } from 'type-graphql';
import { Node } from '../graphql/node.js';
import { connectionTypes } from '../graphql/page.js';
import { UserError } from '../graphql/user-error.js';
import type { ProjectRow } from './project.table.js';

/** Its root value is a row of `projects`. */
@ObjectType({ implements: Node, description: 'A body of work with members; holds tasks.', simpleResolvers: true })
export class Project extends Node {
  declare id: ProjectRow['id'];

  @Field(() => String, { description: "Unique; the front of its tasks' identifiers: OPS in OPS-42." })
  key: string;

  @Field(() => String, { description: 'The name to show.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'What it is about.' })
  description: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was archived, if it was.' })
  archivedAt: string | null;

  @Field(() => GraphQLDateTime, { description: 'When it was created.' })
  createdAt: string;
}

export const { Edge: ProjectEdge, Connection: ProjectConnection } = connectionTypes('Project', () => Project);

@InputType({ description: 'A project to create; the viewer becomes its owner.' })
export class CreateProjectInput {
  @Field(() => String, { description: '2 to 10 capital letters or digits, a letter first; unique.' })
  key: string;

  @Field(() => String, { description: '1 to 100 characters.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'At most 10 000 characters.' })
  description?: string | null;
}

@ObjectType({ description: 'What createProject did.', simpleResolvers: true })
export class CreateProjectPayload {
  @Field(() => Project, { nullable: true, description: 'The new project; null when there are errors.' })
  project?: ProjectRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
