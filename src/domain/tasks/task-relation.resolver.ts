/** Relations of tasks. A related task that the viewer cannot see is as if it were not related. */
import { Arg, Args, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe } from '../../engine/cache/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { visibleProjectIds } from '../projects/access.js';
import { taskById } from './task.loaders.js';
import { isOpenStatus, type TaskRow } from './task.table.js';
import { Task, TaskConnection } from './task.type.js';
import { type RelatedTask, type RelationsOfTask, relationsOf } from './task-relation.loaders.js';
import type { TaskRelationService } from './task-relation.service.js';
import { MAX_RELATIONS } from './task-relation.table.js';
import { AddTaskRelationInput, RemoveTaskRelationInput, TaskRelationPayload } from './task-relation.type.js';

const AT_MOST = `At most ${MAX_RELATIONS}, oldest task first, without those the viewer cannot see.`;
/** The relations of a task, and typically few related tasks. */
const COST = 10;

@Resolver(() => Task)
export class TaskRelationResolver {
  constructor(private readonly service: TaskRelationService) {}

  @FieldResolver(() => TaskConnection, { description: `Tasks that cannot be done before the task. ${AT_MOST}` })
  blocks(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    return relatedTasks(context, task, 'blocks', args);
  }

  @FieldResolver(() => TaskConnection, {
    description: `Tasks before which the task cannot be done, whatever their status. ${AT_MOST}`,
  })
  blockedBy(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    return relatedTasks(context, task, 'blockedBy', args);
  }

  @FieldResolver(() => TaskConnection, { description: `Tasks that have something in common with the task. ${AT_MOST}` })
  relatesTo(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    return relatedTasks(context, task, 'relatesTo', args);
  }

  @FieldResolver(() => TaskConnection, { description: `Tasks that are marked as duplicates of the task. ${AT_MOST}` })
  duplicates(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    return relatedTasks(context, task, 'duplicates', args);
  }

  @FieldResolver(() => Task, {
    nullable: true,
    description: 'Task that describes the same work. Null if there is none or the viewer cannot see it.',
  })
  duplicateOf(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(visibleRelated(context, task, 'duplicateOf'), (related) =>
      mapMaybe(visibleRows(context, related), ([row]) => row ?? null),
    );
  }

  @FieldResolver(() => Boolean, {
    description:
      'Whether one of the tasks in `blockedBy` is neither DONE nor CANCELED. Tasks that the viewer cannot see do not ' +
      'count.',
    complexity: COST,
  })
  isBlocked(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(visibleRelated(context, task, 'blockedBy'), (related) =>
      mapMaybe(visibleRows(context, related), (rows) => rows.some((row) => row !== null && isOpenStatus(row.status))),
    );
  }

  @Mutation(() => TaskRelationPayload, {
    description:
      'Relates a task to another one. Requires the right to write in the projects of both. A task that is a ' +
      'DUPLICATE_OF another one is canceled unless it is DONE, and is no longer a duplicate of any other. Refused if tasks would block each other, directly or ' +
      'through others. Changes nothing if the relation exists.',
  })
  addTaskRelation(
    @Ctx() context: Context,
    @Arg('input', () => AddTaskRelationInput, { description: 'The relation to add.' }) input: AddTaskRelationInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.add(context, input)));
  }

  @Mutation(() => TaskRelationPayload, {
    description:
      'Removes a relation between two tasks. Requires the right to write in the project of one of them. Their ' +
      'statuses stay. Refused with NOT_FOUND if there is no such relation.',
  })
  removeTaskRelation(
    @Ctx() context: Context,
    @Arg('input', () => RemoveTaskRelationInput, { description: 'The relation to remove.' })
    input: RemoveTaskRelationInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.remove(context, input)));
  }
}

function relatedTasks(context: Context, task: TaskRow, kind: keyof RelationsOfTask, args: PageArgs) {
  const list = `task.${kind}`;
  const query = pageQuery(args, list, ([id]) => isId('task', id ?? ''));
  const related = () => visibleRelated(context, task, kind);
  return connection({
    list,
    query,
    page: () =>
      mapMaybe(related(), (tasks) =>
        pageOf(
          tasks.map(({ id }) => ({ id, sort: [] })),
          query,
        ),
      ),
    nodes: (ids) =>
      visibleRows(
        context,
        ids.map((id) => ({ id })),
      ),
    count: () => mapMaybe(related(), ({ length }) => length),
  });
}

function visibleRelated(
  context: Context,
  { id }: TaskRow,
  kind: keyof RelationsOfTask,
): MaybePromise<readonly RelatedTask[]> {
  return mapMaybe(context.loaders.load(relationsOf, id), (relations) =>
    relations[kind].length === 0
      ? []
      : mapMaybe(visibleProjectIds(context), (visible) =>
          relations[kind].filter(({ projectId }) => visible.includes(projectId)),
        ),
  );
}

/** A task may have moved to a hidden project after the relations were read. */
function visibleRows(
  context: Context,
  related: readonly Pick<RelatedTask, 'id'>[],
): MaybePromise<readonly (TaskRow | null)[]> {
  if (related.length === 0) return [];
  return mapMaybe(
    context.loaders.loadMany(
      taskById,
      related.map(({ id }) => id),
    ),
    (rows) =>
      mapMaybe(visibleProjectIds(context), (visible) =>
        rows.map((row) => (row && visible.includes(row.projectId) ? row : null)),
      ),
  );
}
