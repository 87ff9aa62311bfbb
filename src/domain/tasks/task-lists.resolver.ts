/** The task lists and statistics of Project, User and Label; this folder owns the foreign keys. */
import { Arg, Args, Ctx, FieldResolver, Int, Resolver, Root } from 'type-graphql';
import { Cached } from '../../engine/graphql/index.js';
import type { Context } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import { MINUTE } from '../../std/time.js';
import type { LabelRow } from '../labels/label.table.js';
import { Label } from '../labels/label.type.js';
import { visibleProjectIds } from '../projects/access.js';
import type { ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import type { UserRow } from '../users/user.table.js';
import { User } from '../users/user.type.js';
import { BurndownPoint, burndowns, checkDays } from './burndown.js';
import { oneOf, someAssignee, someLabel, TRUE } from './task.condition.js';
import { taskConnection } from './task.connection.js';
import { TaskListArgs } from './task.filter-inputs.js';
import { burndownTags, projectStats } from './task.loaders.js';
import { ProjectStats, TaskConnection } from './task.type.js';

/** The task fields of Project. */
@Resolver(() => Project)
export class ProjectTasksResolver {
  @FieldResolver(() => TaskConnection, { description: 'Tasks of the project, including subtasks.' })
  tasks(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [project.id], TRUE, args);
  }

  @FieldResolver(() => ProjectStats, {
    description: 'Task statistics of the project. Costs many points: they are expensive to compute.',
    complexity: COSTS.statistics,
  })
  @Cached(projectStats)
  stats(@Root() project: ProjectRow) {
    return project.id;
  }

  @FieldResolver(() => [BurndownPoint], {
    description: 'Open and completed tasks for each of the last days, oldest first. Costs many points.',
    complexity: COSTS.statistics,
  })
  @Cached<ProjectRow>({ ttlMs: MINUTE, scope: 'public', tags: ({ id }) => burndownTags(id) })
  burndown(
    @Root() project: ProjectRow,
    @Ctx() { loaders }: Context,
    @Arg('days', () => Int, { defaultValue: 30, description: 'Number of days up to and including today, 1-365.' })
    days: number,
  ) {
    return loaders.loadUncached(burndowns, { projectId: project.id, days: checkDays(days) });
  }
}

/** The task fields of User. */
@Resolver(() => User)
export class UserTasksResolver {
  @FieldResolver(() => TaskConnection, {
    description: 'Tasks that the user is an assignee of, in projects the viewer is a member of.',
  })
  async assignedTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), someAssignee([user.id]), args);
  }

  @FieldResolver(() => TaskConnection, {
    description: 'Tasks created by the user, in projects the viewer is a member of.',
  })
  async createdTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), oneOf('creatorId', [user.id]), args);
  }
}

/** The task fields of Label. */
@Resolver(() => Label)
export class LabelTasksResolver {
  @FieldResolver(() => TaskConnection, { description: 'Tasks that have the label, all of them in its project.' })
  tasks(@Root() label: LabelRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [label.projectId], someLabel([label.id]), args);
  }
}
