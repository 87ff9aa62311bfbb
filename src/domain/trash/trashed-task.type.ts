/** GraphQL types of deleted tasks, and of the mutations of the trash. */
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { TaskId } from '../../db/ids.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import { Trashed } from '../projects/trashed.type.js';

/** Resolves from a row of `trashed_tasks`. */
@ObjectType({
  description: 'A deleted task in the trash of its project, which restoreTask brings back until it is purged.',
  simpleResolvers: true,
})
export class TrashedTask extends Trashed {
  @Field(() => ID, { description: 'Id of the task, which it keeps when it is restored.' })
  id: TaskId;

  @Field(() => String, { description: 'Title the task had when it was deleted.' })
  title: string;
}

export const { Connection: TrashedTaskConnection } = connectionTypes('TrashedTask', () => TrashedTask);

@InputType({ description: 'Input for the mutation restoreTask.' })
export class RestoreTaskInput {
  @Field(() => ID, { description: 'Id of the deleted task.' })
  id: TaskId;
}

@InputType({ description: 'Input for the mutation purgeTask.' })
export class PurgeTaskInput {
  @Field(() => ID, { description: 'Id of a task in the trash.' })
  id: TaskId;
}

@ObjectType({ description: 'Result of the mutation purgeTask.', simpleResolvers: true })
export class PurgeTaskPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the purged task. Null if there are errors.' })
  purgedTaskId?: TaskId | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
