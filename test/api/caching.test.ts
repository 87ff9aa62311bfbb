/** What a query costs: counted in trips to Redis and statements to Postgres. */
import type { GraphQLField, GraphQLObjectType } from 'graphql';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type ProjectId } from '../../src/db/ids.js';
import { projectStats } from '../../src/domain/tasks/task.loaders.js';
import { Tracer } from '../../src/engine/graphql/index.js';
import { Loads } from '../../src/graphql/context.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { redisUrl } from '../support/servers.js';

const TASKS = 50;
/** One level below the list of tasks, for each kind of edge. */
const EDGES = {
  'to one, shared': 'assignee { handle }',
  'to one, the same for all': 'project { key }',
  'a number': 'commentCount',
};
const FULL = `{ tasks(first: ${TASKS}) { totalCount nodes { identifier title assignee { handle } project { key }
  labels { nodes { name } } comments { nodes { body author { handle } } } } } }`;

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app, TASKS);
});
afterAll(() => app?.close());

beforeEach(async () => {
  await emptyCache();
  app.reset();
});

/** Entries and tokens go; position and lease stay, so the cache serves at once. */
async function emptyCache(): Promise<void> {
  const redis = new Redis(redisUrl());
  const keys = [...(await redis.keys(`e*{${app.group}}*`)), ...(await redis.keys(`t:{${app.group}}*`))];
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
}

test('a second identical query sends 0 SQL statements', async () => {
  const first = dataOf(await app.ask(FULL, { as: f.ada.id }));
  expect(app.counts.statements.length).toBeGreaterThan(0);
  await app.settled();
  app.reset();
  const second = dataOf(await app.ask(FULL, { as: f.ada.id }));
  expect(app.counts.statements).toEqual([]);
  expect(second).toEqual(first);
});

test('warm, each level is one Redis read and nothing else', async () => {
  await app.ask(FULL, { as: f.ada.id });
  await app.settled();
  app.reset();
  const { cache } = await app.ask(FULL, { as: f.ada.id, trace: true });
  // memberships; page and count; tasks; users, projects, labels, comments of the tasks; labels and comments; authors are known by then
  expect(app.counts).toMatchObject({ reads: 5, fills: 0, statements: [] });
  expect(cache?.totals).toMatchObject({ redisRoundTrips: 5, sqlStatements: 0 });
});

describe.each(Object.entries(EDGES))(`${TASKS} tasks on a cold cache with an edge %s`, (_, edge) => {
  test('cost one Redis read, one SQL statement and one fill per level', async () => {
    const data = dataOf(await app.ask(`{ tasks(first: ${TASKS}) { nodes { title ${edge} } } }`, { as: f.ada.id }));
    expect(data.tasks.nodes).toHaveLength(TASKS);
    const levels = ['memberships, and the viewer', 'the page', 'its tasks', 'their edge'].length;
    expect(app.counts.statements).toHaveLength(levels + 1);
    await app.settled();
    expect([levels, levels + 1]).toContain(app.counts.fills);
    expect(app.counts.reads).toBe(levels);
  });
});

test(`${TASKS} tasks with assignee, project and labels on a cold cache: one Redis read per level, one statement per table and level`, async () => {
  const query = `{ tasks(first: ${TASKS}) { nodes { title assignee { handle } project { key } labels { nodes { name } } } } }`;
  dataOf(await app.ask(query, { as: f.ada.id }));
  // The first level is two tables: members, users. The fourth is three: users, projects, labels.
  expect(app.counts).toMatchObject({ reads: 4 });
  expect(app.counts.statements).toHaveLength(7);
  await app.settled();
  // One for each level, or for each table of a level if its loads end in different ticks.
  expect(app.counts.fills).toBeGreaterThanOrEqual(4);
  expect(app.counts.fills).toBeLessThanOrEqual(8);
});

test('the statistics that several requests miss in one event-loop tick are read by one statement', async () => {
  const projects = [...new Set(f.opsTasks.map(({ projectId }) => projectId)), newId('project')];
  const requests = projects.map(() => {
    const caller = new AbortController();
    return new Loads({ ...app, viewer: f.ada.id, tracer: new Tracer(false), caller });
  });
  const stats = await Promise.all(requests.map((loads, i) => loads.load(projectStats, projects[i] as ProjectId)));
  expect(stats.map(({ total }) => total)).toEqual([f.opsTasks.length, 0]);
  expect(app.counts.statements).toHaveLength(1);
});

test('several lists in one query are read by one statement', async () => {
  const query = `{ projects { nodes { key tasks(first: 3) { totalCount nodes { title } } } } }`;
  const data = dataOf(await app.ask(query, { as: f.ada.id }));
  expect(data.projects.nodes.map(({ tasks }: { tasks: { totalCount: number } }) => tasks.totalCount)).toEqual([
    TASKS,
    1,
  ]);
  // memberships, the viewer, projects, pages, counts, tasks
  expect(app.counts.statements).toHaveLength(6);
});

test('what does not exist is cached too, and appears the moment it is created', async () => {
  const query = `{ task(identifier: "OPS-${TASKS + 1}") { title } }`;
  expect(dataOf(await app.ask(query, { as: f.ada.id }))).toEqual({ task: null });
  await app.settled();
  app.reset();
  expect(dataOf(await app.ask(query, { as: f.ada.id }))).toEqual({ task: null });
  expect(app.counts.statements).toEqual([]);
  const created = await app.ask(
    `mutation($p: ID!) { createTask(input: { projectId: $p, title: "New" }) { task { id identifier } errors { message } } }`,
    {
      as: f.ada.id,
      variables: { p: f.ops.id },
    },
  );
  expect(dataOf(created).createTask).toMatchObject({ task: { identifier: `OPS-${TASKS + 1}` }, errors: [] });
  expect(dataOf(await app.ask(query, { as: f.ada.id }))).toEqual({ task: { title: 'New' } });
  const gone = `mutation($id: ID!) { deleteTask(input: { id: $id }) { deletedTaskId } }`;
  await app.ask(gone, { as: f.ada.id, variables: { id: dataOf(created).createTask.task.id } });
  expect(dataOf(await app.ask(query, { as: f.ada.id }))).toEqual({ task: null });
});

test('fields under a mutation bypass the cache: they neither read it nor fill it', async () => {
  const document = `mutation($id: ID!) { completeTask(input: { id: $id }) { task { status project { name } assignee { handle } } } }`;
  const answer = await app.ask(document, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id }, trace: true });
  expect(dataOf(answer).completeTask.task).toMatchObject({ status: 'DONE', project: { name: 'Operations' } });
  // Nothing is read of whether the viewer exists: the write proves it.
  expect(app.counts).toMatchObject({ reads: 0, fences: 1 });
  expect(app.outcomes).toEqual([]);
  expect(answer.cache?.calls.map(({ coordinate, outcome, reason }) => [coordinate, outcome, reason])).toEqual([
    ['Task.project', 'bypass', 'mutation'],
    ['Task.assignee', 'bypass', 'mutation'],
  ]);
  expect(answer.cache?.invalidated?.some((tag) => tag.startsWith('tasks:id='))).toBe(true);
});

test('a mutation that does not prove its viewer by what it writes reads whether that one exists, and nothing else', async () => {
  const document = 'mutation($id: ID!) { reopenTask(input: { id: $id }) { task { status assignee { handle } } } }';
  const answer = await app.ask(document, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id } });
  expect(dataOf(answer).reopenTask.task.status).toBe('TODO');
  expect(app.counts).toMatchObject({ reads: 1, fences: 1 });
  expect(app.outcomes.map(({ name }) => name)).toEqual(['User']);
});

test('outside of production the cached methods of the API get a root that throws on what their key does not name', () => {
  const burndown = (app.schema.getType('Project') as GraphQLObjectType).getFields()['burndown'] as GraphQLField<
    unknown,
    unknown
  >;
  const { guard } = burndown.extensions['cache'] as { guard?: (call: object) => Fixture['ops'] };
  const root = guard?.({ root: f.ops, args: { days: 7 } });
  expect(root?.id).toBe(f.ops.id);
  expect(() => root?.name).toThrow(/^Project\.burndown reads "name" of its root/);
});

test('the trace says of every cached field where its value came from', async () => {
  const query = `{ task(identifier: "OPS-2") { title assignee { handle } } }`;
  const cold = await app.ask(query, { as: f.ada.id, trace: true });
  await app.settled();
  const warm = await app.ask(query, { as: f.ada.id, trace: true });
  const lines = (answer: typeof cold) =>
    answer.cache?.calls.map(({ path, coordinate, name, outcome, reason }) => ({
      path,
      coordinate,
      name,
      outcome,
      reason,
    }));
  expect(lines(cold)).toContainEqual({
    path: ['task', 'assignee'],
    coordinate: 'Task.assignee',
    name: 'User',
    outcome: 'miss',
    reason: 'absent',
  });
  expect(warm.cache?.calls).toContainEqual({
    path: ['task', 'assignee'],
    coordinate: 'Task.assignee',
    name: 'User',
    outcome: 'hit',
    tags: [expect.stringMatching(/^users:id=[0-9a-f-]{36}$/), 'users'],
    ageMs: expect.any(Number),
    ttlLeftMs: expect.any(Number),
    bytes: expect.any(Number),
    startMs: expect.any(Number),
    ms: expect.any(Number),
    roundTrips: [expect.any(Number)],
    key: expect.stringMatching(/^User:/),
  });
  expect(warm.cache?.totals.sqlStatements).toBe(0);
  expect((await app.ask(query, { as: f.ada.id })).cache).toBeUndefined();
});

test("Apollo's cache debugger is told the same, in its own form, only when it asks", async () => {
  const query = `{ task(identifier: "OPS-4") { title assignee { handle } } }`;
  const headers = { 'apollo-cache-debugging': 'true' };
  const entry = async () => {
    const { debugging, cache } = await app.ask(query, { as: f.ada.id, headers });
    expect([debugging?.version, cache]).toEqual(['1.0', undefined]);
    return debugging?.data.find(({ kind }) => 'typename' in kind && kind.typename === 'User');
  };
  await app.transactor.transact((tx) => tx.execute(`update users set name = 'Bob B.' where handle = 'bob'`));
  const loaded = await entry();
  await app.settled();
  const both = await app.ask(query, { as: f.ada.id, headers, trace: true });
  const served = await entry();
  expect(loaded).toMatchObject({ source: 'subgraph', shouldStore: true, warnings: [] });
  expect(served).toEqual({
    key: expect.stringMatching(/^User/),
    invalidationKeys: [expect.stringMatching(/^users:id=/), 'users'],
    kind: { typename: 'User', entityKey: { id: f.bob.id } },
    subgraphName: 'tasks',
    subgraphRequest: { query: expect.stringContaining('assignee {') },
    source: 'cache',
    cacheControl: { created: expect.any(Number), maxAge: expect.any(Number), age: expect.any(Number) },
    shouldStore: true,
    data: { data: null },
    warnings: [],
  });
  expect(Math.abs((served?.cacheControl.created ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  expect(both.debugging?.data.map(({ invalidationKeys }) => invalidationKeys)).toEqual(
    both.cache?.calls.map(({ tags }) => tags),
  );
  const mutation = 'mutation($i: UpdateTaskInput!) { updateTask(input: $i) { task { assignee { handle } } } }';
  const input = { id: f.opsTasks[0]?.id, description: 'Seen by the debugger' };
  const bypassed = await app.ask(mutation, { as: f.ada.id, headers, variables: { i: input } });
  expect(bypassed.debugging?.data).toMatchObject([
    { source: 'subgraph', shouldStore: false, warnings: [{ code: 'BYPASS', message: 'Not stored: mutation' }] },
  ]);
  expect((await app.ask(query, { as: f.ada.id })).debugging).toBeUndefined();
});
