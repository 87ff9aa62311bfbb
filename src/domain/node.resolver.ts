/** `node` and `nodes`: any object by its global id. Placed above the feature folders because it uses all of them. */
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
    description: 'Finds an object of any type by id. Null if it does not exist or the viewer cannot see it.',
  })
  node(
    @Ctx() context: Context,
    @Arg('id', () => ID, { description: 'Id of the object.' }) id: string,
  ): MaybePromise<Node | null> {
    return nodeFinder(id, 'id')(context);
  }

  @Query(() => [Node], {
    nullable: 'items',
    description:
      'Finds objects of any type by id, in the order of `ids`. An item is null if it does not exist or the ' +
      'viewer cannot see it.',
  })
  nodes(
    @Ctx() context: Context,
    @Arg('ids', () => [ID], { description: `Ids of the objects, at most ${MAX_NODES}.` }) ids: string[],
  ): Promise<(Node | null)[]> {
    if (ids.length > MAX_NODES) throw badUserInput('ids', `expected at most ${MAX_NODES} ids, got ${ids.length}`);
    // Checks every id before anything is read.
    const finders = new Map(ids.map((id, i) => [id, nodeFinder(id, `ids[${i}]`)]));
    const found = new Map([...finders].map(([id, find]) => [id, find(context)])); // repeated ids are read once
    return Promise.all(ids.map((id) => found.get(id) ?? null));
  }
}

/**
 * Returns a function that reads the object; it gives null when the object does not exist or is hidden.
 * @throws BAD_USER_INPUT when the id is of no known type
 */
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
