/** `node`: any object by its global id. Here, above the features, because it knows all of them. */
import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { commentById } from './comments/comment.loaders.js';
import { type CommentId, idPrefix, type LabelId, type ProjectId, type TaskId, type UserId } from './db/ids.js';
import type { Context } from './graphql/context.js';
import { badUserInput } from './graphql/errors.js';
import { Node } from './graphql/node.js';
import { labelById } from './labels/label.loaders.js';
import { ifVisible } from './projects/access.js';
import { visibleProject } from './projects/project.resolver.js';
import { taskById } from './tasks/task.loaders.js';
import { userById } from './users/user.loaders.js';

@Resolver()
export class NodeResolver {
  @Query(() => Node, {
    nullable: true,
    description: 'Any object by its id; null when there is none that the viewer may see.',
  })
  async node(
    @Ctx() context: Context,
    @Arg('id', () => ID, { description: 'Its id.' }) id: string,
  ): Promise<Node | null> {
    const { loads } = context;
    const visibleTask = (taskId: TaskId) => ifVisible(context, loads.load(taskById, taskId), (task) => task.projectId);
    switch (idPrefix(id)) {
      case 'user':
        return loads.load(userById, id as UserId);
      case 'project':
        return visibleProject(context, id as ProjectId);
      case 'task':
        return visibleTask(id as TaskId);
      case 'label':
        return ifVisible(context, loads.load(labelById, id as LabelId), (label) => label.projectId);
      case 'comment': {
        const comment = await loads.load(commentById, id as CommentId);
        return comment && (await visibleTask(comment.taskId)) && comment;
      }
      default:
        throw badUserInput('id', 'expected an id of a user, project, task, label or comment');
    }
  }
}
