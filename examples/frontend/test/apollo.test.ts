/** Apollo Client against the real server: pages, the cache after mutations, refusals and errors. */
import { type ApolloClient, CombinedGraphQLErrors, type ObservableQuery } from '@apollo/client';
import { filter, firstValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import { createApolloClient, createTask, deleteTask, updateTask } from '../src/apollo.js';
import type { TaskListQuery, TaskListQueryVariables } from '../src/gql/graphql.js';
import { readFragment } from '../src/gql/index.js';
import { Identity, ObjectById, TaskList, TaskRow } from '../src/operations.js';
import { bobRenames, connection, newestFirst, taskOf, world } from './support.js';

type ListQuery = ObservableQuery<TaskListQuery, TaskListQueryVariables>;

/** An id of its kind that no task has. */
const NO_TASK = 'task_01h455vb4pex5vsknk084sn02q';

const w = world();

/** ada's client, showing the first page of the project. */
async function list(first: number) {
  const { options, counted } = connection(w);
  const client = createApolloClient(options);
  const query = client.watchQuery({ query: TaskList, variables: { project: w.project.id, first } });
  const shown = query.subscribe(() => {});
  await arrived(query);
  return { client, counted, query, titles: () => titlesOf(shownBy(query)), hide: () => shown.unsubscribe() };
}

async function arrived(query: ListQuery): Promise<void> {
  await firstValueFrom(query.pipe(filter(({ loading }) => !loading)));
}

/** What a component shows now. */
function shownBy(query: ListQuery): TaskListQuery {
  const result = query.getCurrentResult();
  if (result.dataState !== 'complete') throw new Error(`the list is ${result.dataState}`);
  return result.data;
}

function titlesOf({ tasks }: TaskListQuery): string[] {
  return tasks.edges.map(({ node }) => readFragment(TaskRow, node).title);
}

/** Whether there is another page after this. */
async function nextPage(query: ListQuery): Promise<boolean> {
  await query.fetchMore({ variables: { after: shownBy(query).tasks.pageInfo.endCursor } });
  await arrived(query);
  return shownBy(query).tasks.pageInfo.hasNextPage;
}

test('three pages become one list, each task once, in the order of the server', async () => {
  const { query, titles, counted, hide } = await list(3);
  expect(titles()).toEqual(newestFirst.slice(0, 3));
  expect(await nextPage(query)).toBe(true);

  expect(await nextPage(query)).toBe(false);
  expect(titles()).toEqual(newestFirst);
  expect(counted.requests).toBe(3);
  hide();
});

test('a list shows what was created, changed and deleted without being fetched again', async () => {
  const { client, titles, counted, hide } = await list(25);
  const created = await createTask(client, { projectId: w.project.id, title: 'Made here' });
  if (created.kind !== 'done') throw new Error(created.why.join());
  expect(titles()).toEqual(['Made here', ...newestFirst]);
  const { id } = created.value;
  await updateTask(client, { id, title: 'Changed here' });
  expect(titles()).toEqual(['Changed here', ...newestFirst]);
  expect(await deleteTask(client, id)).toEqual({ kind: 'done', value: id });
  expect(titles()).toEqual(newestFirst);
  expect(counted.requests).toBe(1 + 3); // the list, and three mutations
  expect(await titlesFromServer(client)).toEqual(newestFirst);
  hide();
});

async function titlesFromServer(client: ApolloClient): Promise<string[]> {
  const variables = { project: w.project.id };
  const { data } = await client.query({ query: TaskList, variables, fetchPolicy: 'network-only' });
  return data ? titlesOf(data) : [];
}

test('a new task on top does not disturb the next page', async () => {
  const { client, query, titles, hide } = await list(3);
  const created = await createTask(client, { projectId: w.project.id, title: 'On top' });
  if (created.kind !== 'done') throw new Error(created.why.join());
  await nextPage(query);
  await nextPage(query);
  expect(titles()).toEqual(['On top', ...newestFirst]);
  await deleteTask(client, created.value.id);
  hide();
});

test('a conflict shows the task as it is now, in words and in the list', async () => {
  const { client, titles, hide } = await list(25);
  const { id, title } = taskOf(w, 1);
  await bobRenames(w, id, 'Renamed by bob');
  const refused = await updateTask(client, { id, title: 'Renamed by ada', expectedVersion: 1 });
  expect(refused).toEqual({ kind: 'refused', why: ['Meanwhile it became “Renamed by bob”, version 2.'] });
  expect(titles().at(-1)).toBe('Renamed by bob');
  await bobRenames(w, id, title);
  hide();
});

test('other refusals come with a text that names the field', async () => {
  const { options } = connection(w);
  const client = createApolloClient(options);
  expect(await createTask(client, { projectId: w.project.id, title: '' })).toEqual({
    kind: 'refused',
    why: ['input.title: expected 1 to 500 characters, got none'],
  });
  expect(await updateTask(client, { id: NO_TASK, title: 'x' })).toMatchObject({ kind: 'refused' });
});

test('fragments match Node and what implements it, from the cache as from the server', async () => {
  const { options, counted } = connection(w);
  const client = createApolloClient(options);
  for (const _ of ['server', 'cache']) {
    const { data: task } = await client.query({ query: ObjectById, variables: { id: taskOf(w, 2).id } });
    expect(task?.node?.__typename === 'Task' && readFragment(TaskRow, task.node).title).toBe('Task 2');
    const { data: project } = await client.query({ query: ObjectById, variables: { id: w.project.id } });
    expect(project?.node?.__typename === 'Project' && project.node.key).toBe(w.project.key);
    expect(readFragment(Identity, project?.node)?.id).toBe(w.project.id);
  }
  expect(counted.requests).toBe(2);
});

test('errors of the request reach the caller with their code', async () => {
  const { options } = connection(w);
  const variables = { project: w.project.id, first: 1000 };
  const codes = async (token: string) => {
    const client = createApolloClient({ ...options, token });
    const { error } = await client.query({ query: TaskList, variables, errorPolicy: 'all' });
    if (!CombinedGraphQLErrors.is(error)) throw error;
    return error.errors.map(({ extensions }) => extensions?.['code']);
  };
  expect(await codes(options.token)).toEqual(['BAD_USER_INPUT']);
  expect(await codes('nonsense')).toEqual(['UNAUTHENTICATED']);
});
