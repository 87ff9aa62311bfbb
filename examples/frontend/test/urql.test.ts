/** urql with its normalising cache against the real server: the same as with Apollo Client. */
import type { Client } from '@urql/core';
import { expect, test } from 'vitest';
import type { TaskListQueryVariables } from '../src/gql/graphql.js';
import { readFragment } from '../src/gql/index.js';
import { Identity, ObjectById, TaskList, TaskRow } from '../src/operations.js';
import { createTask, createUrqlClient, deleteTask, updateTask } from '../src/urql.js';
import { bobRenames, connection, newestFirst, taskOf, world } from './support.js';

const w = world();

async function connect() {
  const { options, counted } = connection(w);
  const odd: string[] = [];
  const logger = (severity: string, message: string) => severity !== 'debug' && odd.push(message);
  const client = createUrqlClient({ ...options, logger });
  return { client, counted, odd };
}

async function page(client: Client, variables: Omit<TaskListQueryVariables, 'project'>) {
  const { data, error } = await client.query(TaskList, { project: w.project.id, ...variables }).toPromise();
  if (error || !data) throw error ?? new Error('no data');
  const { edges, pageInfo } = data.tasks;
  return { titles: edges.map(({ node }) => readFragment(TaskRow, node).title), pageInfo };
}

test('three pages become one list, each task once, in the order of the server', async () => {
  const { client, counted, odd } = await connect();
  const first = await page(client, { first: 3 });
  const second = await page(client, { first: 3, after: first.pageInfo.endCursor });
  const third = await page(client, { first: 3, after: second.pageInfo.endCursor });
  expect(third.titles).toEqual(newestFirst);
  expect(third.pageInfo.hasNextPage).toBe(false);
  expect((await page(client, { first: 3 })).titles).toEqual(newestFirst); // from the cache, merged
  expect(counted.requests).toBe(3);
  expect(odd).toEqual([]);
});

test('a list shows what was created, changed and deleted without being fetched again', async () => {
  const { client, counted, odd } = await connect();
  const titles = async () => (await page(client, { first: 25 })).titles;
  expect(await titles()).toEqual(newestFirst);
  const created = await createTask(client, { projectId: w.project.id, title: 'Made here' });
  if (created.kind !== 'done') throw new Error(created.why.join());
  expect(await titles()).toEqual(['Made here', ...newestFirst]);
  const { id } = created.value;
  await updateTask(client, { id, title: 'Changed here' });
  expect(await titles()).toEqual(['Changed here', ...newestFirst]);
  expect(await deleteTask(client, id)).toEqual({ kind: 'done', value: id });
  expect(await titles()).toEqual(newestFirst);
  expect(counted.requests).toBe(1 + 3); // the list, and three mutations
  expect(odd).toEqual([]);
});

test('a conflict shows the task as it is now, in words and in the list', async () => {
  const { client, odd } = await connect();
  const { id, title } = taskOf(w, 1);
  await page(client, { first: 25 });
  await bobRenames(w, id, 'Renamed by bob');
  const refused = await updateTask(client, { id, title: 'Renamed by ada', expectedVersion: 1 });
  expect(refused).toEqual({ kind: 'refused', why: ['Meanwhile it became “Renamed by bob”, version 2.'] });
  expect((await page(client, { first: 25 })).titles.at(-1)).toBe('Renamed by bob');
  await bobRenames(w, id, title);
  expect(odd).toEqual([]);
});

test('fragments match Node and what implements it, from the cache as from the server', async () => {
  const { client, counted, odd } = await connect();
  for (const _ of ['server', 'cache']) {
    const { data: task } = await client.query(ObjectById, { id: taskOf(w, 2).id }).toPromise();
    expect(task?.node?.__typename === 'Task' && readFragment(TaskRow, task.node).title).toBe('Task 2');
    const { data: project } = await client.query(ObjectById, { id: w.project.id }).toPromise();
    expect(project?.node?.__typename === 'Project' && project.node.key).toBe(w.project.key);
    expect(readFragment(Identity, project?.node)?.id).toBe(w.project.id);
  }
  expect(counted.requests).toBe(2);
  expect(odd).toEqual([]);
});

test('errors of the request reach the caller with their code', async () => {
  const { options } = connection(w);
  const codes = async (token: string) => {
    const client = createUrqlClient({ ...options, token });
    const { error } = await client.query(TaskList, { project: w.project.id, first: 1000 }).toPromise();
    return error?.graphQLErrors.map(({ extensions }) => extensions['code']);
  };
  expect(await codes(options.token)).toEqual(['BAD_USER_INPUT']);
  expect(await codes('nonsense')).toEqual(['UNAUTHENTICATED']);
});
