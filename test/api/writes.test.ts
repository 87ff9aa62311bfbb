/** The mutations besides the first ones (mutations.test.ts): what each does, who may, what it refuses; every read right after, in another process. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let writer: TestApp;
let reader: TestApp;
let f: Fixture;

beforeAll(async () => {
  writer = await testApp();
  reader = await testApp({ databaseUrl: writer.databaseUrl, group: writer.group });
});
afterAll(() => Promise.all([writer?.close(), reader?.close()]));
beforeEach(async () => {
  await writer.transactor.transact((tx) => tx.execute('truncate users, projects cascade'));
  f = await fixture(writer);
});

const ERRORS = 'errors { __typename code message path ... on ConflictError { task { version } } }';

async function mutate(name: string, input: object, fields: string, { as = f.ada.id, on = writer } = {}) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { ${fields} ${ERRORS} } }`;
  return dataOf(await on.ask(document, { as, variables: { input } }))[name];
}

/** Asked of the other process, twice: the second time from the cache. */
async function read(query: string, as: UserId = f.ada.id) {
  dataOf(await reader.ask(query, { as }));
  return dataOf(await reader.ask(query, { as }));
}

const TASK = 'task { identifier status version assignee { handle } parent { identifier } labels { nodes { name } } }';
const one = () => f.opsTasks[0] as Fixture['opsTasks'][number];
const forbidden = [{ __typename: 'PermissionError', code: 'FORBIDDEN' }];
const missing = [{ __typename: 'NotFoundError', code: 'NOT_FOUND' }];
const invalid = (...path: string[]) => [{ __typename: 'ValidationError', path: ['input', ...path] }];

describe('tasks', () => {
  test('reopenTask makes a closed task TODO, and leaves an open one as it is', async () => {
    await mutate('completeTask', { id: one().id }, TASK);
    const tasks = 'query { project(key: "OPS") { tasks(filter: { status: { eq: TODO } }) { nodes { identifier } } } }';
    expect((await read(tasks)).project.tasks.nodes).toEqual([]);
    expect((await mutate('reopenTask', { id: one().id }, TASK)).task).toMatchObject({ status: 'TODO', version: 3 });
    expect((await read(tasks)).project.tasks.nodes).toEqual([{ identifier: 'OPS-1' }]);
    expect((await mutate('reopenTask', { id: one().id }, TASK)).task).toMatchObject({ status: 'TODO', version: 3 });
  });

  test.each(['completeTask', 'reopenTask', 'assignTask', 'deleteTask', 'moveTask', 'updateTask'])(
    '%s refuses another version, and shows the task',
    async (name) => {
      const input = { id: one().id, expectedVersion: 7, ...(name === 'moveTask' && { projectId: f.web.id }) };
      const { errors } = await mutate(name, input, '');
      expect(errors).toMatchObject([
        { __typename: 'ConflictError', path: ['input', 'expectedVersion'], task: { version: 1 } },
      ]);
    },
  );

  test('moveTask takes what the other project has as well, and leaves the rest', async () => {
    const { label } = await mutate('createLabel', { projectId: f.web.id, name: 'bug' }, 'label { id }');
    await mutate('updateTask', { id: one().id, parentId: f.opsTasks[1]?.id }, '');
    await mutate('updateTask', { id: f.opsTasks[2]?.id, parentId: one().id }, '');
    const lists =
      'query { a: project(key: "OPS") { tasks { totalCount } } b: project(key: "WEB") { tasks { totalCount } } }';
    expect(await read(lists)).toMatchObject({ a: { tasks: { totalCount: 6 } }, b: { tasks: { totalCount: 1 } } });
    const { task, errors } = await mutate(
      'moveTask',
      { id: one().id, projectId: f.web.id },
      'task { identifier version parent { id } assignee { handle } labels { nodes { id name } } comments { totalCount } subtasks { totalCount } }',
    );
    expect(errors).toEqual([]);
    expect(task).toMatchObject({
      identifier: 'WEB-2',
      parent: null,
      assignee: { handle: 'ada' },
      labels: { nodes: [{ id: label.id, name: 'bug' }] },
      comments: { totalCount: 1 },
      subtasks: { totalCount: 0 },
    });
    expect(await read(lists)).toMatchObject({ a: { tasks: { totalCount: 5 } }, b: { tasks: { totalCount: 2 } } });
    expect(
      await read(
        'query { a: task(identifier: "OPS-1") { id } b: task(identifier: "WEB-2") { title } c: task(identifier: "OPS-3") { parent { id } } }',
      ),
    ).toEqual({
      a: null,
      b: { title: 'Task 1' },
      c: { parent: null },
    });
  });

  test('moveTask drops an assignee who is no member there, and needs the right to write in both', async () => {
    const bobs = f.opsTasks[1]?.id;
    expect((await mutate('moveTask', { id: bobs, projectId: f.web.id }, TASK)).task.assignee).toBeNull();
    expect(
      (await mutate('moveTask', { id: one().id, projectId: f.web.id }, '', { as: f.bob.id })).errors,
    ).toMatchObject([{ code: 'NOT_FOUND', path: ['input', 'projectId'] }]);
    expect(
      (await mutate('moveTask', { id: f.webTask.id, projectId: f.ops.id }, '', { as: f.bob.id })).errors,
    ).toMatchObject([{ code: 'NOT_FOUND', path: ['input', 'id'] }]);
    expect((await mutate('moveTask', { id: one().id, projectId: f.ops.id }, TASK)).task).toMatchObject({
      identifier: 'OPS-1',
      version: 1,
    });
  });

  test('updateTasks changes what it may and says of each why not', async () => {
    const ids = [one().id, f.webTask.id, newId('task'), f.opsTasks[1]?.id];
    const fields = `results { id task { status version } ${ERRORS} }`;
    const byBob = await mutate('updateTasks', { ids, status: 'IN_PROGRESS' }, fields, { as: f.bob.id });
    expect(byBob.errors).toEqual([]);
    expect(byBob.results).toMatchObject([
      { id: ids[0], task: { status: 'IN_PROGRESS', version: 2 }, errors: [] },
      { id: ids[1], task: null, errors: [{ code: 'NOT_FOUND', path: ['input', 'ids', '1'] }] },
      { id: ids[2], task: null, errors: [{ code: 'NOT_FOUND', path: ['input', 'ids', '2'] }] },
      { id: ids[3], task: { status: 'IN_PROGRESS' }, errors: [] },
    ]);
    const under = await mutate(
      'updateTasks',
      { ids: [f.opsTasks[2]?.id, one().id], title: 'Part', parentId: one().id },
      fields,
    );
    expect(under.results).toMatchObject([{ errors: [] }, { task: null, errors: invalid('parentId') }]);
    expect(
      await read(
        'query { a: task(identifier: "OPS-3") { title parent { identifier } } b: task(identifier: "OPS-1") { title } }',
      ),
    ).toEqual({
      a: { title: 'Part', parent: { identifier: 'OPS-1' } },
      b: { title: 'Task 1' }, // its savepoint took the title back, too
    });
  });

  test.each([
    ['nothing', () => ({ ids: [] }), 'ids'],
    ['a task twice', () => ({ ids: [one().id, one().id] }), 'ids'],
    ['more than 100', () => ({ ids: Array.from({ length: 101 }, () => newId('task')) }), 'ids'],
    ['a title to clear', () => ({ ids: [one().id], title: null }), 'title'],
    ['no status', () => ({ ids: [one().id], status: null }), 'status'],
  ])('updateTasks refuses %s as a whole', async (_, input, field) => {
    const { results, errors } = await mutate('updateTasks', input(), 'results { id }');
    expect([results, errors]).toMatchObject([[], invalid(field)]);
  });

  test('updates of many tasks in opposite orders do not wait for each other for ever', async () => {
    const ids = f.opsTasks.map(({ id }) => id);
    const runs = Array.from({ length: 8 }, (_, i) =>
      mutate(
        'updateTasks',
        {
          ids: i % 2 === 0 ? ids : [...ids].reverse(),
          title: `Round ${i}`,
          labelIds: i % 2 === 0 ? [f.bug.id] : [f.docs.id],
        },
        'results { errors { message } }',
      ),
    );
    for (const { errors, results } of await Promise.all(runs)) {
      expect(errors).toEqual([]);
      expect(results.flatMap((result: { errors: unknown[] }) => result.errors)).toEqual([]);
    }
  });

  test('addLabels and removeLabels change what they name', async () => {
    const bearing = `query { tasks(filter: { labels: { some: { name: { eq: "bug" } } } }) { totalCount } }`;
    expect((await read(bearing)).tasks.totalCount).toBe(6);
    const gone = await mutate('removeLabels', { taskId: one().id, labelIds: [f.bug.id] }, TASK);
    expect(gone.task).toMatchObject({ version: 2, labels: { nodes: [{ name: 'docs' }] } });
    expect((await read(bearing)).tasks.totalCount).toBe(5);
    expect((await mutate('removeLabels', { taskId: one().id, labelIds: [f.bug.id] }, TASK)).task.version).toBe(2);
    expect((await mutate('addLabels', { taskId: one().id, labelIds: [f.bug.id, f.docs.id] }, TASK)).task.version).toBe(
      3,
    );
    expect((await read(bearing)).tasks.totalCount).toBe(6);
    expect((await mutate('addLabels', { taskId: one().id, labelIds: [newId('label')] }, '')).errors).toMatchObject(
      invalid('labelIds'),
    );
    expect((await mutate('addLabels', { taskId: one().id, labelIds: [] }, '')).errors).toMatchObject(
      invalid('labelIds'),
    );
  });

  test('taskEdge is the task in the lists that clients keep', async () => {
    const create = await mutate(
      'createTask',
      { projectId: f.ops.id, title: 'Edge' },
      'task { id } taskEdge { cursor node { id } }',
    );
    expect(create.taskEdge.node.id).toBe(create.task.id);
    const page = await reader.ask(
      'query($c: String) { tasks(last: 1, before: $c) { nodes { id } } project(key: "OPS") { tasks(first: 1) { edges { cursor } } } }',
      {
        as: f.ada.id,
        variables: { c: create.taskEdge.cursor },
      },
    );
    expect(dataOf(page)).toEqual({
      tasks: { nodes: [] },
      project: { tasks: { edges: [{ cursor: create.taskEdge.cursor }] } },
    });
  });
});

describe('comments', () => {
  const comments = `query { task(identifier: "OPS-1") { commentCount comments { nodes { id body viewerCanUpdate viewerCanDelete } } } }`;

  test('are changed by their author, deleted by their author and by owners', async () => {
    const [comment] = (await read(comments, f.bob.id)).task.comments.nodes;
    expect(comment).toMatchObject({ body: 'Noted.', viewerCanUpdate: true, viewerCanDelete: true });
    expect((await read(comments)).task.comments.nodes).toMatchObject([
      { viewerCanUpdate: false, viewerCanDelete: true },
    ]);
    expect((await read(comments, f.vic.id)).task.comments.nodes).toMatchObject([
      { viewerCanUpdate: false, viewerCanDelete: false },
    ]);
    const update = (as: UserId, body: string | null = 'Changed.') =>
      mutate('updateComment', { id: comment.id, body }, 'comment { body }', { as });
    expect((await update(f.ada.id)).errors).toMatchObject(forbidden);
    expect((await update(f.vic.id)).errors).toMatchObject(forbidden);
    expect((await update(f.eve.id)).errors).toMatchObject(missing);
    expect((await update(f.bob.id, null)).errors).toMatchObject(invalid('body'));
    expect((await update(f.bob.id)).comment.body).toBe('Changed.');
    expect((await read(comments)).task.comments.nodes).toMatchObject([{ body: 'Changed.' }]);
    const remove = (as: UserId) => mutate('deleteComment', { id: comment.id }, 'deletedCommentId', { as });
    expect((await remove(f.vic.id)).errors).toMatchObject(forbidden);
    expect((await remove(f.ada.id)).deletedCommentId).toBe(comment.id);
    expect((await read(comments)).task).toMatchObject({ commentCount: 0, comments: { nodes: [] } });
    expect((await remove(f.ada.id)).errors).toMatchObject(missing);
  });
});

describe('labels', () => {
  const labels =
    'query { project(key: "OPS") { labels { nodes { name color } } } task(identifier: "OPS-1") { labels { nodes { name } } } }';

  test('are renamed and deleted, and every list shows it', async () => {
    await read(labels);
    const update = (input: object, as = f.ada.id) =>
      mutate('updateLabel', { id: f.bug.id, ...input }, 'label { name color }', { as });
    expect((await update({ name: 'docs' })).errors).toMatchObject(invalid('name'));
    expect((await update({ name: null })).errors).toMatchObject(invalid('name'));
    expect((await update({ name: 'x' }, f.vic.id)).errors).toMatchObject(forbidden);
    expect((await update({ name: 'x' }, f.eve.id)).errors).toMatchObject(missing);
    expect((await update({ name: 'defect' })).label).toEqual({ name: 'defect', color: '#112233' });
    expect(await read(labels)).toMatchObject({
      project: { labels: { nodes: [{ name: 'defect' }, { name: 'docs' }] } },
      task: { labels: { nodes: [{ name: 'defect' }, { name: 'docs' }] } },
    });
    expect((await mutate('deleteLabel', { id: f.bug.id }, 'deletedLabelId')).deletedLabelId).toBe(f.bug.id);
    expect(await read(labels)).toEqual({
      project: { labels: { nodes: [{ name: 'docs', color: '#112233' }] } },
      task: { labels: { nodes: [{ name: 'docs' }] } },
    });
  });
});

describe('projects and members', () => {
  const members =
    'query { project(key: "OPS") { name archivedAt viewerRole members { edges { role node { handle } } totalCount } } }';

  test('updateProject is for owners', async () => {
    const update = (as: UserId, input: object = { name: 'Ops!' }) =>
      mutate('updateProject', { id: f.ops.id, ...input }, 'project { name description }', { as });
    await read(members);
    expect((await update(f.bob.id)).errors).toMatchObject(forbidden);
    expect((await update(f.eve.id)).errors).toMatchObject(missing);
    expect((await update(f.ada.id, { name: null })).errors).toMatchObject(invalid('name'));
    expect((await update(f.ada.id)).project).toEqual({ name: 'Ops!', description: null });
    expect((await read(members)).project.name).toBe('Ops!');
  });

  test('an archived project is read and not written, until it is brought back', async () => {
    const archive = (archived?: boolean, as = f.ada.id) =>
      mutate(
        'archiveProject',
        { id: f.ops.id, ...(archived !== undefined && { archived }) },
        'project { archivedAt }',
        { as },
      );
    const may = 'query { task(identifier: "OPS-1") { title viewerCanUpdate } }';
    expect((await read(may)).task.viewerCanUpdate).toBe(true);
    expect((await archive(undefined, f.bob.id)).errors).toMatchObject(forbidden);
    expect((await archive()).project.archivedAt).not.toBeNull();
    expect(await read(may)).toEqual({ task: { title: 'Task 1', viewerCanUpdate: false } });
    for (const [name, input] of [
      ['createTask', { projectId: f.ops.id, title: 'x' }],
      ['completeTask', { id: one().id }],
      ['createLabel', { projectId: f.ops.id, name: 'x' }],
      ['createComment', { taskId: one().id, body: 'x' }],
      ['moveTask', { id: one().id, projectId: f.web.id }],
    ] as const) {
      expect((await mutate(name, input, '')).errors, name).toMatchObject(forbidden);
    }
    expect((await archive(false)).project.archivedAt).toBeNull();
    expect((await mutate('completeTask', { id: one().id }, TASK)).task.status).toBe('DONE');
  });

  test('members are added, given roles, and removed; what was theirs is nobody’s', async () => {
    const add = (userId: UserId, role: string, as = f.ada.id) =>
      mutate('addMember', { projectId: f.ops.id, userId, role }, 'memberEdge { role node { handle } }', { as });
    const remove = (userId: UserId, as = f.ada.id) =>
      mutate('removeMember', { projectId: f.ops.id, userId }, 'removedUserId project { members { totalCount } }', {
        as,
      });
    const eves = 'query { projects { nodes { key } } }';
    expect((await read(eves, f.eve.id)).projects.nodes).toEqual([]);
    expect((await add(f.eve.id, 'VIEWER')).memberEdge).toEqual({ role: 'VIEWER', node: { handle: 'eve' } });
    expect((await read(eves, f.eve.id)).projects.nodes).toEqual([{ key: 'OPS' }]);
    expect((await read(members)).project).toMatchObject({ viewerRole: 'OWNER', members: { totalCount: 4 } });
    expect((await add(f.eve.id, 'MEMBER')).memberEdge.role).toBe('MEMBER');
    expect((await read(members, f.eve.id)).project.viewerRole).toBe('MEMBER');
    expect((await add(f.eve.id, 'OWNER', f.bob.id)).errors).toMatchObject(forbidden);
    expect((await add(newId('user'), 'VIEWER')).errors).toMatchObject([
      { code: 'NOT_FOUND', path: ['input', 'userId'] },
    ]);
    const bobs = 'query { tasks(filter: { assignee: { handle: { eq: "bob" } } }) { totalCount } }';
    expect((await read(bobs)).tasks.totalCount).toBe(3);
    expect((await remove(f.bob.id)).project.members.totalCount).toBe(3);
    expect((await read(bobs)).tasks.totalCount).toBe(0);
    expect((await read(eves, f.bob.id)).projects.nodes).toEqual([]);
    expect((await remove(f.eve.id, f.eve.id)).removedUserId).toBe(f.eve.id);
    expect((await remove(f.bob.id)).errors).toMatchObject(missing);
  });

  test('a project keeps an owner', async () => {
    const last = [{ code: 'CONFLICT' }];
    expect((await mutate('removeMember', { projectId: f.ops.id, userId: f.ada.id }, '')).errors).toMatchObject(last);
    expect(
      (await mutate('addMember', { projectId: f.ops.id, userId: f.ada.id, role: 'MEMBER' }, '')).errors,
    ).toMatchObject(last);
    await mutate('addMember', { projectId: f.ops.id, userId: f.bob.id, role: 'OWNER' }, '');
    const both = [f.ada.id, f.bob.id].map((userId) =>
      mutate('removeMember', { projectId: f.ops.id, userId }, 'removedUserId', { as: userId }),
    );
    const left = (await Promise.all(both)).filter(({ errors }) => errors.length === 0);
    expect(left).toHaveLength(1);
  });
});

describe('created once', () => {
  const count = async () =>
    (await read('query { project(key: "OPS") { tasks { totalCount } } }')).project.tasks.totalCount;
  const create = (key: string, title = 'Once', { as = f.ada.id, on = writer } = {}) =>
    mutate('createTask', { projectId: f.ops.id, title, idempotencyKey: key }, 'task { id title }', { as, on });

  test('the same key answers the same task, on another process as well', async () => {
    const first = await create('k1');
    expect((await create('k1', 'Once', { on: reader })).task.id).toBe(first.task.id);
    expect((await create('k1', '  Once ')).task.id).toBe(first.task.id); // means the same
    expect(await count()).toBe(7);
    expect((await create('k1', 'Another')).errors).toMatchObject([
      { code: 'CONFLICT', path: ['input', 'idempotencyKey'] },
    ]);
    expect((await create('k1', 'Once', { as: f.bob.id })).task.id).not.toBe(first.task.id);
    await mutate('deleteTask', { id: first.task.id }, '');
    expect((await create('k1')).errors).toMatchObject([{ code: 'NOT_FOUND', path: ['input', 'idempotencyKey'] }]);
  });

  test('many at once, on two processes, make one', async () => {
    const runs = Array.from({ length: 8 }, (_, i) => create('k2', 'Race', { on: i % 2 === 0 ? writer : reader }));
    const ids = new Set((await Promise.all(runs)).map(({ task }) => task.id));
    expect(ids.size).toBe(1);
    expect(await count()).toBe(7);
  });

  test('a refused creation leaves its key unused', async () => {
    expect((await create('k3', '')).errors).toMatchObject(invalid('title'));
    expect(
      (
        await mutate(
          'createTask',
          { projectId: f.ops.id, title: 'x', parentId: newId('task'), idempotencyKey: 'k3' },
          '',
        )
      ).errors,
    ).toMatchObject(invalid('parentId'));
    expect((await create('k3')).errors).toEqual([]);
    expect((await create('x'.repeat(201))).errors).toMatchObject(invalid('idempotencyKey'));
  });

  test('projects, labels and comments, too', async () => {
    for (const [name, input, field] of [
      ['createProject', { key: 'NEW', name: 'New' }, 'project'],
      ['createLabel', { projectId: f.ops.id, name: 'new' }, 'label'],
      ['createComment', { taskId: one().id, body: 'new' }, 'comment'],
    ] as const) {
      const again = () => mutate(name, { ...input, idempotencyKey: 'k' }, `${field} { id }`);
      const first = await again();
      expect(first.errors, name).toEqual([]);
      expect((await again())[field].id, name).toBe(first[field].id);
    }
  });
});
