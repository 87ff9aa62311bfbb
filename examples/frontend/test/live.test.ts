/** Changes that others make, as both clients are told of them. */
import { filter, firstValueFrom } from 'rxjs';
import { afterEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { ProjectHeadFragment, TaskRowFragment } from '../src/gql/graphql.js';
import { readFragment } from '../src/gql/index.js';
import { createLiveApolloClient, liveExchange, openSocket } from '../src/live.js';
import { ProjectById, ProjectChanged, ProjectHead, TaskChanged, TaskList, TaskRow } from '../src/operations.js';
import { createUrqlClient } from '../src/urql.js';
import { adaChangesProject, bobRenames, connection, taskOf, world } from './support.js';

const w = world();
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Bob writes until somebody has been told: the subscription may still be on its way when he writes first. */
async function renamedUntil(told: () => boolean, title: string): Promise<void> {
  let i = 0;
  await vi.waitFor(
    async () => {
      await bobRenames(w, taskOf(w, 3).id, `${title} ${i++}`);
      expect(told()).toBe(true);
    },
    { timeout: 15_000, interval: 300 },
  );
}

/** Each part of the project is changed in another window, and shows. `shown`: the last state, undefined before the first. */
async function expectChangesShown(shown: () => ProjectHeadFragment | undefined): Promise<void> {
  const shows = (seen: object) => vi.waitFor(() => expect(shown()).toMatchObject(seen), { timeout: 15_000 });
  let i = 0;
  await vi.waitFor(
    async () => {
      await adaChangesProject(w, { name: `Frontend ${++i}` });
      expect(shown()?.name).toMatch(/^Frontend \d/); // the subscription may still be on its way
    },
    { timeout: 15_000, interval: 300 },
  );
  const label = `label ${Date.now()}`;
  await adaChangesProject(w, { label });
  await shows({ labels: { nodes: expect.arrayContaining([expect.objectContaining({ name: label })]) } });
  await adaChangesProject(w, { role: 'VIEWER' });
  const asViewer = expect.objectContaining({ role: 'VIEWER' });
  await shows({ members: { edges: expect.arrayContaining([asViewer]) } });
  await adaChangesProject(w, { role: 'MEMBER', name: 'Frontend' });
  await shows({ name: 'Frontend', members: { edges: expect.not.arrayContaining([asViewer]) } });
}

test('Apollo Client: what is told is in the cache, and the list shows it without a request', async () => {
  const { options, counted } = connection(w);
  const socket = openSocket(options, { webSocketImpl: WebSocket });
  stops.push(() => socket.dispose());
  const client = createLiveApolloClient(options, socket);
  const list = client.watchQuery({ query: TaskList, variables: { project: w.project.id, first: 10 } });
  stops.push(() => client.stop());
  let shown: string[] = [];
  const watching = list.subscribe(({ data, dataState }) => {
    if (dataState === 'complete') shown = data.tasks.edges.map(({ node }) => readFragment(TaskRow, node).title);
  });
  stops.push(() => watching.unsubscribe());
  await firstValueFrom(list.pipe(filter(({ loading }) => !loading)));
  const types: string[] = [];
  const changes = client
    .subscribe({ query: TaskChanged, variables: { project: w.project.id } })
    .subscribe(({ data }) => {
      if (data) types.push(data.taskChanged.type);
    });
  stops.push(() => changes.unsubscribe());
  counted.requests = 0;
  await renamedUntil(() => shown.some((title) => title.startsWith('Told to Apollo')), 'Told to Apollo');
  expect([types[0], counted.requests]).toEqual(['UPDATED', 0]);
});

test('urql: the same', async () => {
  const { options } = connection(w);
  const socket = openSocket(options, { webSocketImpl: WebSocket });
  stops.push(() => socket.dispose());
  const client = createUrqlClient({ ...options, more: [liveExchange(socket)], logger: () => {} });
  const told: TaskRowFragment[] = [];
  const { unsubscribe } = client.subscription(TaskChanged, { project: w.project.id }).subscribe(({ data }) => {
    const task = readFragment(TaskRow, data?.taskChanged.task);
    if (task) told.push(task);
  });
  stops.push(unsubscribe);
  await renamedUntil(() => told.length > 0, 'Told to urql');
  expect(told[0]?.title).toMatch(/^Told to urql/);
});

test('Apollo Client: the name, labels and members of the project show at once, without a request', async () => {
  const { options, counted } = connection(w);
  const socket = openSocket(options, { webSocketImpl: WebSocket });
  stops.push(() => socket.dispose());
  const client = createLiveApolloClient(options, socket);
  stops.push(() => client.stop());
  const variables = { project: w.project.id };
  const query = client.watchQuery({ query: ProjectById, variables });
  let shown: ProjectHeadFragment | undefined;
  const watching = query.subscribe(({ data, dataState }) => {
    if (dataState === 'complete') shown = readFragment(ProjectHead, data.project) ?? undefined;
  });
  stops.push(() => watching.unsubscribe());
  await firstValueFrom(query.pipe(filter(({ loading }) => !loading)));
  const changes = client.subscribe({ query: ProjectChanged, variables }).subscribe(() => {});
  stops.push(() => changes.unsubscribe());
  counted.requests = 0;
  await expectChangesShown(() => shown);
  expect(counted.requests).toBe(0);
});

test('urql: the name, labels and members of the project show at once, without a request', async () => {
  const { options, counted } = connection(w);
  const socket = openSocket(options, { webSocketImpl: WebSocket });
  stops.push(() => socket.dispose());
  const client = createUrqlClient({ ...options, more: [liveExchange(socket)], logger: () => {} });
  const variables = { project: w.project.id };
  let shown: ProjectHeadFragment | undefined;
  const watching = client.query(ProjectById, variables).subscribe(({ data }) => {
    shown = readFragment(ProjectHead, data?.project) ?? undefined;
  });
  stops.push(watching.unsubscribe);
  await vi.waitFor(() => expect(shown).toBeDefined());
  stops.push(client.subscription(ProjectChanged, variables).subscribe(() => {}).unsubscribe);
  counted.requests = 0;
  await expectChangesShown(() => shown);
  expect(counted.requests).toBe(0);
});
