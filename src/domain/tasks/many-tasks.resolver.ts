/** Mutations of many tasks. */
import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import type { TaskId } from '../../db/ids.js';
import type { WriteResult } from '../../engine/postgres/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { Refusal, toPayload, userError } from '../../graphql/user-error.js';
import type { ManyResult } from '../idempotency/idempotency.js';
import type { ManyTasksService } from './many-tasks.service.js';
import { CreateTasksPayload, UpdateTasksPayload } from './many-tasks.type.js';
import { CreateTasksInput, UpdateTasksInput } from './task.inputs.js';

@Resolver()
export class ManyTasksResolver {
  constructor(private readonly service: ManyTasksService) {}

  @Mutation(() => CreateTasksPayload, {
    description:
      'Creates up to 100 tasks, in one or several projects. Each task is created or refused independently. Paths of ' +
      'errors contain its position: `input.tasks.3.title`.',
  })
  createTasks(
    @Ctx() context: Context,
    @Arg('input', () => CreateTasksInput, { description: 'The tasks to create.' }) input: CreateTasksInput,
  ) {
    return manyPayload(context, () => this.service.create(context, input));
  }

  @Mutation(() => UpdateTasksPayload, {
    description: 'Applies the same change to up to 100 tasks. Each task succeeds or is refused independently.',
  })
  updateTasks(
    @Ctx() context: Context,
    @Arg('input', () => UpdateTasksInput, { description: 'The tasks and the fields to change.' })
    input: UpdateTasksInput,
  ) {
    return manyPayload(context, () => this.service.update(context, input));
  }
}

export interface ManyPayload {
  readonly results: readonly {
    readonly id: TaskId;
    readonly task: object | null;
    readonly errors: readonly object[];
  }[];
  readonly errors: readonly object[];
}

/** Runs a mutation of many tasks. */
export async function manyPayload(
  context: Context,
  write: () => Promise<WriteResult<readonly ManyResult<'task', object>[]>>,
): Promise<ManyPayload> {
  const payload = await toPayload(async () => {
    const results = recordInvalidations(context, await write());
    return {
      results: results.map(({ id, outcome }) =>
        outcome instanceof Refusal
          ? { id, task: null, errors: [outcome, ...outcome.others].map(userError) }
          : { id, task: outcome, errors: [] },
      ),
    };
  });
  return { results: [], errors: [], ...payload };
}
