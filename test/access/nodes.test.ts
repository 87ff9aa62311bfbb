/** `node` and `nodes`, and which users a viewer may look up. */
import { and, eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { projectMembers } from '../../src/domain/projects/project.table.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const NODES = `query ($ids: [ID!]!) { nodes(ids: $ids) {
  __typename id ... on User { handle } ... on Task { title } ... on Project { key } ... on Label { name } ... on Comment { body }
} }`;
const nodes = async (as: UserId, ids: readonly string[]) =>
  dataOf(await app.ask(NODES, { as, variables: { ids } })).nodes;

async function oneOfEach(): Promise<string[]> {
  const query = '{ task(identifier: "OPS-1") { id comments { nodes { id } } } }';
  const { task } = dataOf(await app.ask(query, { as: f.ada.id }));
  return [f.bob.id, f.ops.id, task.id, f.bug.id, task.comments.nodes[0].id];
}

describe('nodes', () => {
  test('are answered in the order of the ids, also twice, null where there is nothing to see', async () => {
    const ids = await oneOfEach();
    const asked = [...ids, newId('task'), ids[0] as string];
    const found = await nodes(f.ada.id, asked);
    expect(found.map((node: { id: string } | null) => node?.id ?? null)).toEqual([...ids, null, ids[0]]);
    expect(found.slice(0, 5)).toMatchObject([
      { handle: 'bob' },
      { key: 'OPS' },
      { title: 'Task 1' },
      { name: 'bug' },
      { body: 'Noted.' },
    ]);
    expect(await nodes(f.eve.id, asked)).toEqual(asked.map(() => null));
    expect(await nodes(f.ada.id, [])).toEqual([]);
  });

  test('a hundred tasks are one statement, and none when they are cached', async () => {
    const ids = [...f.opsTasks.map(({ id }) => id), ...Array.from({ length: 94 }, () => newId('task'))];
    app.reset();
    await nodes(f.vic.id, ids);
    expect(app.counts.statements.filter((text) => text.includes('from "tasks"')).length).toBeLessThanOrEqual(1);
    await app.settled();
    await eventually(async () => {
      app.reset();
      await nodes(f.vic.id, ids);
      expect([app.counts.statements, app.counts.reads]).toEqual([[], 1]);
    });
  });

  test.each([
    ['an id of nothing', () => [f.ops.id, 'x'], 'ids[1]'],
    ['too many ids', () => Array.from({ length: 101 }, () => newId('task')), 'ids'],
  ])('%s is bad input, and nothing but the viewer is read', async (_, ids, argument) => {
    app.reset();
    const { errors } = await app.ask(NODES, { as: f.ada.id, variables: { ids: ids() } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }]);
    expect(app.counts.reads).toBe(1);
    expect(app.counts.statements.filter((text) => !text.includes('from "users"'))).toEqual([]);
  });
});

describe('users', () => {
  const user = async (as: UserId, id: UserId) => (await nodes(as, [id]))[0]?.handle ?? null;

  test('are shown to themselves and to those who share a project with them', async () => {
    expect(await user(f.eve.id, f.eve.id)).toBe('eve');
    expect(await user(f.vic.id, f.ada.id)).toBe('ada');
    expect(await user(f.eve.id, f.ada.id)).toBeNull();
    expect(await user(f.ada.id, f.eve.id)).toBeNull();
    expect(await user(f.ada.id, newId('user'))).toBeNull();
  });

  test('who leaves the last shared project is hidden with the next request, but shown on the tasks they had', async () => {
    expect(await user(f.vic.id, f.bob.id)).toBe('bob');
    await app.transactor.transact((tx) =>
      tx.delete(projectMembers).where(and(eq(projectMembers.projectId, f.ops.id), eq(projectMembers.userId, f.bob.id))),
    );
    expect([await user(f.vic.id, f.bob.id), await user(f.bob.id, f.vic.id)]).toEqual([null, null]);
    const query = `{ task(identifier: "OPS-2") { assignee { handle } comments { nodes { author { handle } } } }
      tasks(filter: { assignee: { id: { eq: "${f.bob.id}" } } }) { totalCount } }`;
    expect(dataOf(await app.ask(query, { as: f.vic.id }))).toEqual({
      task: { assignee: { handle: 'bob' }, comments: { nodes: [{ author: { handle: 'bob' } }] } },
      tasks: { totalCount: 3 },
    });
    await app.transactor.transact((tx) =>
      tx.insert(projectMembers).values({ projectId: f.ops.id, userId: f.bob.id, role: 'MEMBER' }),
    );
    expect(await user(f.vic.id, f.bob.id)).toBe('bob');
  });
});

test('a parent that is moved out of sight while a query runs is not shown', async () => {
  const [parent, child] = f.opsTasks;
  const link = (parentId: string | null) =>
    app.transactor.transact((tx) =>
      tx
        .update(tasks)
        .set({ parentId: parentId as never })
        .where(eq(tasks.id, child?.id as never)),
    );
  await link(parent?.id as string);
  const query = '{ task(identifier: "OPS-2") { title parent { title } } }';
  expect(dataOf(await app.ask(query, { as: f.bob.id })).task.parent).toEqual({ title: 'Task 1' });
  // Between reading the task and its parent, both go to WEB, of which bob is no member.
  let moved = false;
  const read = app.cache.readMany.bind(app.cache);
  app.cache.readMany = (async (source: { name: string }, args: readonly unknown[], options: object) => {
    if (source.name === 'Task' && args.includes(parent?.id) && !moved) {
      moved = true;
      await app.transactor.transact(async (tx) => {
        await tx.delete(taskLabels).where(eq(taskLabels.taskId, parent?.id as never)); // labels of OPS do not move
        await tx
          .update(tasks)
          .set({ parentId: null })
          .where(eq(tasks.id, child?.id as never));
        await tx
          .update(tasks)
          .set({ projectId: f.web.id, number: 99 })
          .where(eq(tasks.id, parent?.id as never));
      });
    }
    return read(source as never, args as never, options);
  }) as typeof app.cache.readMany;
  try {
    expect(dataOf(await app.ask(query, { as: f.bob.id })).task).toEqual({ title: 'Task 2', parent: null });
    expect(moved).toBe(true);
  } finally {
    app.cache.readMany = read;
  }
});
