/**
 * `Task.history` and `Project.activity`. An entry stays readable when what it names has gone or cannot be seen: that is
 * null then.
 */
import { Args, Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import type { Id, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import type { Context } from '../../graphql/context.js';
import { connection, PageArgs, pageQuery } from '../../graphql/page.js';
import { commentById } from '../comments/comment.loaders.js';
import { Comment } from '../comments/comment.type.js';
import { labelById } from '../labels/label.loaders.js';
import { Label } from '../labels/label.type.js';
import { ifVisible, visibleProjectIds } from '../projects/access.js';
import { projectById } from '../projects/project.loaders.js';
import type { ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import { taskById } from '../tasks/task.loaders.js';
import type { TaskRow } from '../tasks/task.table.js';
import { Task } from '../tasks/task.type.js';
import { userById } from '../users/user.loaders.js';
import type { UserRow } from '../users/user.table.js';
import { User } from '../users/user.type.js';
import { type ChangeValue, readChange } from './history.change.js';
import {
  type HistoryEntryValue,
  type HistoryList,
  type HistoryPage,
  isHistoryPlace,
  projectActivity,
  taskHistory,
} from './history.loaders.js';
import {
  HistoryAssigneeChange,
  HistoryAssigneesChange,
  HistoryChange,
  HistoryCommentChange,
  HistoryEntry,
  HistoryEntryConnection,
  HistoryLabelChange,
  HistoryMemberChange,
  HistoryParentChange,
  HistoryProjectChange,
  HistoryRelationChange,
} from './history.type.js';

/** Most entries have fewer, but one of labels can have many. */
const TYPICAL_CHANGES = 3;

@Resolver(() => Task)
export class TaskHistoryResolver {
  @FieldResolver(() => HistoryEntryConnection, {
    description:
      'What was changed on the task, by whom and when, newest first. Changes made before the server recorded ' +
      'history are missing.',
  })
  history(@Root() task: TaskRow, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    return historyConnection('history', task.id, args, (list) => loaders.load(taskHistory, list));
  }
}

@Resolver(() => Project)
export class ProjectActivityResolver {
  @FieldResolver(() => HistoryEntryConnection, {
    description:
      'What was changed on the project, its labels, its members and its tasks, newest first. Includes tasks that ' +
      'have been deleted or moved away since.',
  })
  activity(@Root() project: ProjectRow, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    return historyConnection('activity', project.id, args, (list) => loaders.load(projectActivity, list));
  }
}

function historyConnection<Owner extends Id>(
  name: string,
  of: Owner,
  args: PageArgs,
  read: (list: HistoryList<Owner>) => MaybePromise<HistoryPage>,
) {
  const query = pageQuery(args, name, isHistoryPlace);
  let reading: MaybePromise<HistoryPage> | undefined;
  const page = () => {
    reading ??= read({ of, ...query }); // once, so that entries and cursors are of one page
    return reading;
  };
  return connection({ list: name, query, page, nodes: () => mapMaybe(page(), ({ entries }) => entries) });
}

@Resolver(() => HistoryEntry)
export class HistoryEntryResolver {
  @FieldResolver(() => User, {
    nullable: true,
    description: 'User who made the change. Null if it was made outside the API or the user was deleted.',
  })
  @Cached(userById)
  actor(@Root() entry: HistoryEntryValue) {
    return entry.actorId;
  }

  @FieldResolver(() => Project, {
    nullable: true,
    description: 'Project in which the change was made. Null if the viewer cannot see it.',
  })
  project(@Root() entry: HistoryEntryValue, @Ctx() context: Context) {
    return visibleProject(context, entry.projectId);
  }

  @FieldResolver(() => Task, {
    nullable: true,
    description:
      'Task that changed. Null if the project itself changed, the task was deleted, or the viewer cannot see it.',
  })
  task(@Root() entry: HistoryEntryValue, @Ctx() context: Context) {
    return visibleTask(context, entry.taskId);
  }

  @FieldResolver(() => [HistoryChange], {
    description:
      'The changes, in the order in which they were made, without relations to tasks in projects that the viewer ' +
      'cannot see. Empty if the viewer can see neither the project nor the one that the task was moved from.',
    complexity: ({ childComplexity }) => 1 + TYPICAL_CHANGES * childComplexity,
  })
  changes(@Root() entry: HistoryEntryValue, @Ctx() context: Context): MaybePromise<readonly ChangeValue[]> {
    const changes = entry.changes.flatMap((change) => readChange(change) ?? []);
    const places = [entry.projectId, ...changes.map(({ fromProjectId }) => fromProjectId)];
    return mapMaybe(visibleProjectIds(context), (visible) =>
      places.some((id) => id !== undefined && visible.includes(id))
        ? changes.filter(({ relatedProjectId: id }) => id === undefined || visible.includes(id))
        : [],
    );
  }
}

@Resolver(() => HistoryAssigneeChange)
export class HistoryAssigneeResolver {
  @FieldResolver(() => User, { nullable: true, description: 'The assignee before. Null if there was none.' })
  @Cached(userById)
  fromAssignee(@Root() change: ChangeValue) {
    return change.fromAssigneeId ?? null;
  }

  @FieldResolver(() => User, { nullable: true, description: 'The assignee after. Null if the task was unassigned.' })
  @Cached(userById)
  toAssignee(@Root() change: ChangeValue) {
    return change.toAssigneeId ?? null;
  }
}

@Resolver(() => HistoryAssigneesChange)
export class HistoryAssigneesResolver {
  @FieldResolver(() => [User], {
    description: 'The assignees before, in order, without users who were deleted since.',
    complexity: ({ childComplexity }) => 1 + TYPICAL_CHANGES * childComplexity,
  })
  fromAssignees(@Root() change: ChangeValue, @Ctx() context: Context) {
    return existingUsers(context, change.fromAssigneeIds);
  }

  @FieldResolver(() => [User], {
    description: 'The assignees after, in order, without users who were deleted since.',
    complexity: ({ childComplexity }) => 1 + TYPICAL_CHANGES * childComplexity,
  })
  toAssignees(@Root() change: ChangeValue, @Ctx() context: Context) {
    return existingUsers(context, change.toAssigneeIds);
  }
}

@Resolver(() => HistoryParentChange)
export class HistoryParentResolver {
  @FieldResolver(() => Task, {
    nullable: true,
    description: 'The parent before. Null if there was none, it was deleted, or the viewer cannot see it.',
  })
  fromParent(@Root() change: ChangeValue, @Ctx() context: Context) {
    return visibleTask(context, change.fromParentId);
  }

  @FieldResolver(() => Task, {
    nullable: true,
    description: 'The parent after. Null if there is none, it was deleted, or the viewer cannot see it.',
  })
  toParent(@Root() change: ChangeValue, @Ctx() context: Context) {
    return visibleTask(context, change.toParentId);
  }
}

@Resolver(() => HistoryProjectChange)
export class HistoryProjectResolver {
  @FieldResolver(() => Project, {
    nullable: true,
    description: 'The project before. Null if the viewer cannot see it.',
  })
  fromProject(@Root() change: ChangeValue, @Ctx() context: Context) {
    return visibleProject(context, change.fromProjectId);
  }

  @FieldResolver(() => Project, {
    nullable: true,
    description: 'The project after. Null if the viewer cannot see it.',
  })
  toProject(@Root() change: ChangeValue, @Ctx() context: Context) {
    return visibleProject(context, change.toProjectId);
  }
}

@Resolver(() => HistoryLabelChange)
export class HistoryLabelResolver {
  @FieldResolver(() => Label, {
    nullable: true,
    description: 'The label as it is now. Null if it was deleted or the viewer cannot see its project.',
  })
  label(@Root() { labelId }: ChangeValue, @Ctx() context: Context) {
    return labelId ? ifVisible(context, context.loaders.load(labelById, labelId), (label) => label.projectId) : null;
  }
}

@Resolver(() => HistoryRelationChange)
export class HistoryRelationResolver {
  @FieldResolver(() => Task, {
    nullable: true,
    description: 'The related task as it is now. Null if it was deleted or the viewer cannot see it.',
  })
  relatedTask(@Root() change: ChangeValue, @Ctx() context: Context) {
    return visibleTask(context, change.relatedTaskId);
  }
}

@Resolver(() => HistoryCommentChange)
export class HistoryCommentResolver {
  @FieldResolver(() => Comment, {
    nullable: true,
    description: 'The comment as it is now. Null if it was deleted or the viewer cannot see its task.',
  })
  async comment(@Root() { commentId }: ChangeValue, @Ctx() context: Context) {
    const comment = commentId ? await context.loaders.load(commentById, commentId) : null;
    return comment && (await visibleTask(context, comment.taskId)) && comment;
  }
}

@Resolver(() => HistoryMemberChange)
export class HistoryMemberResolver {
  @FieldResolver(() => User, { nullable: true, description: 'The member. Null if the user was deleted.' })
  @Cached(userById)
  user(@Root() change: ChangeValue) {
    return change.userId ?? null;
  }
}

function existingUsers({ loaders }: Context, ids: readonly UserId[] = []): MaybePromise<UserRow[]> {
  return mapMaybe(loaders.loadMany(userById, ids), (users) => users.filter((user) => user !== null));
}

function visibleTask(context: Context, id: TaskId | null | undefined): MaybePromise<TaskRow | null> {
  return id ? ifVisible(context, context.loaders.load(taskById, id), (task) => task.projectId) : null;
}

function visibleProject(context: Context, id: ProjectId | null | undefined): MaybePromise<ProjectRow | null> {
  return id ? ifVisible(context, context.loaders.load(projectById, id), (project) => project.id) : null;
}

export function historyResolvers(): object[] {
  return [
    new TaskHistoryResolver(),
    new ProjectActivityResolver(),
    new HistoryEntryResolver(),
    new HistoryAssigneeResolver(),
    new HistoryAssigneesResolver(),
    new HistoryParentResolver(),
    new HistoryProjectResolver(),
    new HistoryLabelResolver(),
    new HistoryRelationResolver(),
    new HistoryCommentResolver(),
    new HistoryMemberResolver(),
  ];
}
