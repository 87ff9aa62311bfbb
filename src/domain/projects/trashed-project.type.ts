/** GraphQL types of deleted projects, and of the mutations that delete and restore them. */
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { ProjectId } from '../../db/ids.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import type { ProjectRow } from './project.table.js';
import { ProjectPayload } from './project.type.js';
import { Trashed } from './trashed.type.js';

/** Resolves from a row of `trashed_projects`. */
@ObjectType({
  description: 'A deleted project, which an OWNER can restore until it is purged.',
  simpleResolvers: true,
})
export class TrashedProject extends Trashed {
  @Field(() => ID, { description: 'Id of the project, which it keeps when it is restored.' })
  id: ProjectId;
}

export const { Connection: TrashedProjectConnection } = connectionTypes('TrashedProject', () => TrashedProject);

@InputType({ description: 'Input for the mutation deleteProject.' })
export class DeleteProjectInput {
  @Field(() => ID, { description: 'Id of the project to delete.' })
  id: ProjectId;

  @Field(() => String, { description: 'Key of the project, as a confirmation.' })
  key: string;
}

@InputType({ description: 'Input for the mutation restoreProject.' })
export class RestoreProjectInput {
  @Field(() => ID, { description: 'Id of the deleted project.' })
  id: ProjectId;
}

@ObjectType({ description: 'Result of the mutation deleteProject.', simpleResolvers: true })
export class DeleteProjectPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the deleted project. Null if there are errors.' })
  deletedProjectId?: ProjectRow['id'] | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation restoreProject.', simpleResolvers: true })
export class RestoreProjectPayload extends ProjectPayload {}
