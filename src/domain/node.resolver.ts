/** `node` and `nodes`: any object by its global id. Here, above the features, because it knows all of them. */
import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { type CommentId, idPrefix, type LabelId, type ProjectId, type TaskId, type UserId } from '../db/ids.js';
import type { MaybePromise } from '../engine/cache/index.js';
import type { Context } from '../graphql/context.js';
import { badUserInput } from '../graphql/errors.js';
import { Node } from '../graphql/node.js';
import { commentById } from './comments/comment.loaders.js';
import { labelById } from './labels/label.loaders.js';
import { ifVisible, visibleUser } from './projects/access.js';
import { visibleProject } from './projects/project.resolver.js';
import { taskById } from './tasks/task.loaders.js';

const MAX_NODES = 100;

@Resolver()
export class NodeResolver {
  @Query(() => Node, {
    nullable: true,
    description: 'Any object by its id; null when there is none that the viewer may see.',
  })
  node(
    @Ctx() context: Context,
    @Arg('id', () => ID, { description: 'Its id.' }) id: string,
  ): MaybePromise<Node | null> {
    return nodeFinder(id, 'id')(context);
  }

  @Query(() => [Node], {
    nullable: 'items',
    description: 'Objects by their ids, in the order of the ids; null where there is none that the viewer may see.',
  })
  nodes(
    @Ctx() context: Context,
    @Arg('ids', () => [ID], { description: `Their ids, at most ${MAX_NODES}.` }) ids: string[],
  ): Promise<(Node | null)[]> {
    if (ids.length > MAX_NODES) throw badUserInput('ids', `expected at most ${MAX_NODES} ids, got ${ids.length}`);
    const finders = new Map(ids.map((id, i) => [id, nodeFinder(id, `ids[${i}]`)])); // nothing is read when one is no id
    const found = new Map([...finders].map(([id, find]) => [id, find(context)])); // equal ids are one object
    return Promise.all(ids.map((id) => found.get(id) ?? null));
  }
}

/** What reads the object, or null when it is not there or hidden. @throws BAD_USER_INPUT for what is no id of any object */
function nodeFinder(id: string, argument: string): (context: Context) => MaybePromise<Node | null> {
  switch (idPrefix(id)) {
    case 'user':
      return (context) => visibleUser(context, id as UserId);
    case 'project':
      return (context) => visibleProject(context, id as ProjectId);
    case 'task':
      return (context) => visibleTask(context, id as TaskId);
    case 'label':
      return (context) =>
        ifVisible(context, context.loaders.load(labelById, id as LabelId), ({ projectId }) => projectId);
    case 'comment':
      return async (context) => {
        const comment = await context.loaders.load(commentById, id as CommentId);
        return comment && (await visibleTask(context, comment.taskId)) && comment;
      };
    default:
      throw badUserInput(argument, 'expected an id of a user, project, task, label or comment');
  }
}

function visibleTask(context: Context, id: TaskId) {
  return ifVisible(context, context.loaders.load(taskById, id), ({ projectId }) => projectId);
}
