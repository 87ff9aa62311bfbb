/**
 * Mercurius with its JIT and mercurius-cache on Redis, which caches resolvers: here those of the root, whose values hold all that is selected below,
 * so that a hit is one GET. Kept for 5 minutes, dropped by references (`references`, `invalidate`).
 */
import fastify, { type FastifyPluginAsync } from 'fastify';
import mercurius from 'mercurius';
import mercuriusCache, { type MercuriusCacheOptions } from 'mercurius-cache';
import type { ProjectId, TaskId } from '../../src/db/ids.js';
import type { TaskRow } from '../../src/domain/tasks/task.table.js';
import { ready } from './child.js';
import { find, Loaders, type TaskChange, typeDefs, updateTask } from './plain.js';
import { redis, TTL_S } from './redis.js';

const ofTask = (id: TaskId) => `task:${id}`;
const ofProject = (id: ProjectId) => `project:${id}`;

/** The task with what the fields below it would ask for: by the same loaders, before it is stored. */
async function whole(task: TaskRow, loaders: Loaders, withLabels: boolean) {
  const [project, assignee, labels] = await Promise.all([
    loaders.projects.load(task.projectId),
    task.assigneeId && loaders.users.load(task.assigneeId),
    withLabels ? loaders.labels.load(task.id) : [],
  ]);
  const { id, title, description, status, priority, version } = task;
  const named = (row: { id: string; name: string } | null | '') => row && { id: row.id, name: row.name };
  return {
    id,
    title,
    description,
    status,
    priority,
    version,
    project: named(project),
    assignee: named(assignee),
    labels,
  };
}

const app = fastify();
await app.register(mercurius, {
  schema: typeDefs,
  resolvers: {
    Query: {
      async task(_, { id }: { id: TaskId }) {
        const loaders = new Loaders();
        const task = await loaders.tasks.load(id);
        return task && whole(task, loaders, false);
      },
      async tasks(_, args: { projectId: ProjectId; first: number }) {
        const loaders = new Loaders();
        return Promise.all((await find.tasks(args)).map((task) => whole(task, loaders, true)));
      },
      projectStats: (_, { projectId }: { projectId: ProjectId }) => find.stats(projectId),
    },
    Mutation: { updateTask: (_, { input }: { input: TaskChange }) => updateTask(input) },
  },
  jit: 1,
  graphiql: false,
});
// Its types call the plugin a default export, which CommonJS does not have: the import is the plugin itself.
await app.register(mercuriusCache as unknown as FastifyPluginAsync<MercuriusCacheOptions>, {
  ttl: TTL_S,
  storage: { type: 'redis', options: { client: redis, invalidation: { invalidate: true, referencesTTL: TTL_S } } },
  policy: {
    Query: {
      task: {
        key: ({ arg }: { arg: { id: TaskId } }) => arg.id,
        references: ({ arg }: { arg: { id: TaskId } }) => [ofTask(arg.id)],
      },
      tasks: {
        key: ({ arg }: { arg: { projectId: ProjectId; first: number } }) => `${arg.projectId}:${arg.first}`,
        references: ({ arg }: { arg: { projectId: ProjectId } }) => [ofProject(arg.projectId)],
      },
      projectStats: {
        key: ({ arg }: { arg: { projectId: ProjectId } }) => arg.projectId,
        references: ({ arg }: { arg: { projectId: ProjectId } }) => [ofProject(arg.projectId)],
      },
    },
    Mutation: {
      updateTask: {
        invalidate: (_self: unknown, _arg: unknown, _context: unknown, _info: unknown, task: TaskRow) => [
          ofTask(task.id),
          ofProject(task.projectId),
        ],
      },
    },
  },
});
await app.listen({ host: '127.0.0.1', port: 0 });
ready(app.server);
