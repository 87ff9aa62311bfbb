/** The subscription `taskChanged`. Each event is held against the viewer's memberships of that moment before it is told. */
import { Args, ArgsType, Ctx, Field, FieldResolver, ID, Resolver, Root, Subscription } from 'type-graphql';
import type { Context, Loads, SubscriptionContext } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { isGiven, readId } from '../../graphql/node.js';
import { instanceOf } from '../../graphql/schema.js';
import { ifVisible, visibleProjectIds } from '../projects/access.js';
import type { TaskEvents } from './task.events.js';
import { taskById } from './task.loaders.js';
import { Task } from './task.type.js';
import { TaskChange, TaskChangeType } from './task-change.type.js';
import { TaskChanges, type TaskScope } from './task-changes.js';

@ArgsType()
class TaskChangedArgs {
  @Field(() => ID, { nullable: true, description: 'Only tasks of this project.' })
  projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only this task. Not together with projectId.' })
  taskId?: string | null;
}

@Resolver(() => TaskChange)
export class TaskChangeResolver {
  constructor(private readonly events: TaskEvents) {}

  @Subscription(() => TaskChange, {
    description:
      'Changes of tasks from now on, in order for each task: of one project, of one task, or of all projects that the viewer is a member of. It ends when the viewer may see that project or task no more; with the error TOO_MANY_CHANGES when more changed at once than is told one by one, so that it must be read again.',
    subscribe: ({ args, context, info }) => instanceOf(info, TaskChangeResolver).subscribe(args, context),
  })
  taskChanged(@Root() change: TaskChange, @Args(() => TaskChangedArgs) _args: TaskChangedArgs): TaskChange {
    return change;
  }

  @FieldResolver(() => Task, {
    nullable: true,
    description: 'The task as it is by now, of that version or a later one; null when it is gone.',
  })
  async task(@Root() { type, taskId, loads = undefined }: TaskChange & { loads?: Loads }, @Ctx() context: Context) {
    if (type === TaskChangeType.DELETED) return null;
    return ifVisible(context, (loads ?? context.loaders).load(taskById, taskId), (task) => task.projectId);
  }

  /** First to be told, then to ask what may be seen: so nothing falls in between. @throws BAD_USER_INPUT */
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

/** @throws BAD_USER_INPUT, the same for what is hidden and what does not exist */
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
