/** The same through urql, with its normalising cache. */
import { Client, type Exchange, fetchExchange } from '@urql/core';
import { type Cache, cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import type { ClientOptions } from './apollo.js';
import type {
  CreateTaskInput,
  CreateTaskMutation,
  CreateTaskMutationVariables,
  DeleteTaskMutation,
  TaskRowFragment,
  UpdateTaskInput,
} from './gql/graphql.js';
import { readFragment } from './gql/index.js';
import introspection from './gql/introspection.json' with { type: 'json' };
import { CreateTask, DeleteTask, TaskList, TaskRow, UpdateTask } from './operations.js';
import { type Outcome, outcomeOf } from './outcome.js';

export interface UrqlOptions extends ClientOptions {
  /** Told what the cache finds odd. Default: the console. */
  readonly logger?: (severity: 'debug' | 'error' | 'warn', message: string) => void;
  /** Between the cache and HTTP: subscriptions, live queries. */
  readonly more?: readonly Exchange[];
}

export function createUrqlClient({ url, token, fetch, logger, more = [] }: UrqlOptions): Client {
  return new Client({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    ...(fetch && { fetch }),
    exchanges: [
      cacheExchange({
        schema: introspection,
        ...(logger && { logger }),
        keys: { TaskPayload: () => null, DeleteTaskPayload: () => null },
        resolvers: { Query: { tasks: relayPagination() } },
        updates: {
          Mutation: {
            createTask: (result: CreateTaskMutation, { input }: CreateTaskMutationVariables, cache) =>
              putOnTop(cache, input.projectId, result.createTask.task),
            deleteTask: (result: DeleteTaskMutation, _, cache) => takeOut(cache, result.deleteTask.deletedTaskId),
          },
        },
      }),
      ...more,
      fetchExchange,
    ],
  });
}

/** The newest come first in a list that is in no other order: on the first page, whatever its size. */
function putOnTop(cache: Cache, project: string, task: CreateTaskMutation['createTask']['task']): void {
  if (!task) return;
  for (const { arguments: page } of taskPages(cache)) {
    const variables = { project, first: Number(page?.['first']) };
    if (page?.['after'] || JSON.stringify(page?.['filter']) !== JSON.stringify(filterOf(project))) continue;
    cache.updateQuery({ query: TaskList, variables }, (data) => {
      if (!data) return data;
      const edge = { __typename: 'TaskEdge', cursor: '', node: task } as const;
      return { ...data, tasks: { ...data.tasks, edges: [edge, ...data.tasks.edges] } };
    });
  }
}

/** Out of each page that has it: a task that is only forgotten would make its lists incomplete, and be asked for again. */
function takeOut(cache: Cache, id: string | null): void {
  if (id === null) return;
  const task = { __typename: 'Task', id };
  const key = cache.keyOfEntity(task);
  for (const { fieldKey } of taskPages(cache)) {
    const page = cache.resolve('Query', fieldKey) as string;
    const edges = cache.resolve(page, 'edges') as string[];
    cache.link(
      page,
      'edges',
      edges.filter((edge) => cache.resolve(edge, 'node') !== key),
    );
  }
  cache.invalidate(task);
}

const filterOf = (project: string) => ({ project: { id: { eq: project } } });

const taskPages = (cache: Cache) => cache.inspectFields('Query').filter(({ fieldName }) => fieldName === 'tasks');

export async function createTask(client: Client, input: CreateTaskInput): Promise<Outcome<TaskRowFragment>> {
  const { data, error } = await client.mutation(CreateTask, { input });
  if (error) throw error;
  return outcomeOf(readFragment(TaskRow, data?.createTask.task), data?.createTask.errors);
}

export async function updateTask(client: Client, input: UpdateTaskInput): Promise<Outcome<TaskRowFragment>> {
  const { data, error } = await client.mutation(UpdateTask, { input });
  if (error) throw error;
  return outcomeOf(readFragment(TaskRow, data?.updateTask.task), data?.updateTask.errors);
}

export async function deleteTask(client: Client, id: string): Promise<Outcome<string>> {
  const { data, error } = await client.mutation(DeleteTask, { input: { id } });
  if (error) throw error;
  return outcomeOf(data?.deleteTask.deletedTaskId, data?.deleteTask.errors);
}
