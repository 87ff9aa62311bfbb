/** The frontend's data through Apollo Client: a list in pages, and mutations after which it is right without being fetched again. */
import { type ApolloCache, ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';
import type { CreateTaskInput, CreateTaskMutation, TaskRowFragment, UpdateTaskInput } from './gql/graphql.js';
import { readFragment } from './gql/index.js';
import introspection from './gql/introspection.json' with { type: 'json' };
import { CreateTask, DeleteTask, TaskList, TaskRow, UpdateTask } from './operations.js';
import { type Outcome, outcomeOf } from './outcome.js';

export interface ClientOptions {
  readonly url: string;
  readonly token: string;
  readonly fetch?: typeof fetch;
}

export function createApolloClient(options: ClientOptions): ApolloClient {
  return new ApolloClient({ link: httpLink(options), cache: createCache() });
}

export function httpLink({ url, token, fetch }: ClientOptions): HttpLink {
  return new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` }, ...(fetch && { fetch }) });
}

export function createCache(): InMemoryCache {
  return new InMemoryCache({
    possibleTypes: possibleTypes(),
    typePolicies: { Query: { fields: { tasks: relayStylePagination(['filter', 'orderBy']) } } },
  });
}

/** Without these a fragment on an interface, UserError or Node, matches nothing in the cache. */
function possibleTypes(): Record<string, string[]> {
  const interfaces = introspection.__schema.types.filter(({ kind }) => kind === 'INTERFACE');
  return Object.fromEntries(
    interfaces.map(({ name, possibleTypes }) => [name, (possibleTypes ?? []).map((type) => type.name)]),
  );
}

export async function createTask(client: ApolloClient, input: CreateTaskInput): Promise<Outcome<TaskRowFragment>> {
  const { data } = await client.mutate({
    mutation: CreateTask,
    variables: { input },
    update: (cache, { data }) => putOnTop(cache, input.projectId, data?.createTask.task),
  });
  return outcomeOf(readFragment(TaskRow, data?.createTask.task), data?.createTask.errors);
}

/** The newest come first in a list that is in no other order. */
function putOnTop(
  cache: ApolloCache,
  project: string,
  task: CreateTaskMutation['createTask']['task'] | undefined,
): void {
  if (!task) return;
  cache.updateQuery({ query: TaskList, variables: { project } }, (data) => {
    if (!data) return data; // the list was never shown
    const edge = { __typename: 'TaskEdge', cursor: '', node: task } as const;
    return { ...data, tasks: { ...data.tasks, edges: [edge, ...data.tasks.edges] } };
  });
}

/** Nothing to do for the cache: it knows the task by its id, and every list and page shows the change. */
export async function updateTask(client: ApolloClient, input: UpdateTaskInput): Promise<Outcome<TaskRowFragment>> {
  const { data } = await client.mutate({ mutation: UpdateTask, variables: { input } });
  return outcomeOf(readFragment(TaskRow, data?.updateTask.task), data?.updateTask.errors);
}

/** Lists leave out a task that the cache no longer has. */
export async function deleteTask(client: ApolloClient, id: string): Promise<Outcome<string>> {
  const { data } = await client.mutate({
    mutation: DeleteTask,
    variables: { input: { id } },
    update(cache, { data }) {
      const gone = data?.deleteTask.deletedTaskId;
      if (!gone) return;
      cache.evict({ id: `Task:${gone}` });
      cache.gc();
    },
  });
  return outcomeOf(data?.deleteTask.deletedTaskId, data?.deleteTask.errors);
}
