/**
 * The subscription `taskChanged`. Every event is checked against the viewer's current memberships before it is sent.
 */
import { Args, ArgsType, Ctx, Field, FieldResolver, ID, Resolver, Root, Subscription } from 'type-graphql';
import type { Context, Loads, SubscriptionContext } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { isGiven, readId } from '../../graphql/node.js';
import { instanceOf } from '../../graphql/schema.js';
import { ifVisible, visibleProjectIds } from '../projects/access.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import type { TaskEvents } from './task.events.js';
import { taskById } from './task.loaders.js';
import { Task } from './task.type.js';
import { TaskChange, TaskChangeType } from './task-change.type.js';
import { TaskChanges, type TaskScope } from './task-changes.js';

@ArgsType()
class TaskChangedArgs {
  @Field(() => ID, {
    nullable: true,
    description: 'Only changes of tasks in this project. Not together with `taskId`.',
  })
  projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only changes of this task. Not together with `projectId`.' })
  taskId?: string | null;
}

@Resolver(() => TaskChange)
export class TaskChangeResolver {
  constructor(private readonly events: TaskEvents) {}

  @Subscription(() => TaskChange, {
    description:
      'Changes to tasks, in commit order per task. Scope: one project, one task, or every project the viewer can ' +
      'see. Completes when the viewer loses access. Fails with TOO_MANY_CHANGES when a bulk change cannot be ' +
      'delivered individually.',
    subscribe: ({ args, context, info }) => instanceOf(info, TaskChangeResolver).subscribe(args, context),
  })
  taskChanged(@Root() change: TaskChange, @Args(() => TaskChangedArgs) _args: TaskChangedArgs): TaskChange {
    return change;
  }

  @FieldResolver(() => Task, {
    nullable: true,
    description: 'The task at this version or a later one. Null if it was deleted or the viewer can no longer see it.',
  })
  async task(@Root() { type, taskId, loads = undefined }: TaskChange & { loads?: Loads }, @Ctx() context: Context) {
    if (type === TaskChangeType.DELETED) return null;
    return ifVisible(context, (loads ?? context.loaders).load(taskById, taskId), (task) => task.projectId);
  }

  @FieldResolver(() => User, {
    nullable: true,
    description: 'User who made the change. Null if it was made outside the API or the user was deleted.',
  })
  actor(@Root() { actorId, loads = undefined }: TaskChange & { loads?: Loads }, @Ctx() context: Context) {
    return actorId && (loads ?? context.loaders).load(userById, actorId);
  }

  /** Subscribes before it checks access, so no change falls in between. @throws BAD_USER_INPUT */
  private async subscribe(args: TaskChangedArgs, context: SubscriptionContext): Promise<TaskChanges> {
    const changes = new TaskChanges(context);
    changes.onEnd(await this.events.subscribe(changes));
    try {
      changes.begin(await scopeOf(args, context));
    } catch (error) {
      changes.end();
      throw error;
    }
    return changes;
  }
}

/** @throws BAD_USER_INPUT, with one message for hidden and missing objects */
async function scopeOf({ projectId, taskId }: TaskChangedArgs, context: SubscriptionContext): Promise<TaskScope> {
  if (isGiven(projectId) && isGiven(taskId)) {
    throw badUserInput('projectId', 'expected at most one of projectId and taskId');
  }
  if (isGiven(projectId)) {
    const id = readId('project', projectId, 'projectId');
    if ((await visibleProjectIds(context)).includes(id)) return { kind: 'project', projectId: id };
    throw badUserInput('projectId', 'expected a project that you are a member of');
  }
  if (isGiven(taskId)) {
    const id = readId('task', taskId, 'taskId');
    const task = await ifVisible(context, context.loaders.load(taskById, id), (found) => found.projectId);
    if (task !== null) return { kind: 'task', taskId: id, projectId: task.projectId };
    throw badUserInput('taskId', 'expected a task of a project that you are a member of');
  }
  return { kind: 'all' };
}
