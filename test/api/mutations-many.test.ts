/** Mutations of many tasks: a result for each, whatever becomes of the others. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const FIELDS: Record<string, string> = {
  deleteTasks: 'results { id deletedTaskId errors { __typename code path ... on ConflictError { task { version } } } }',
  createTasks:
    'results { task { id number title version parent { id } assignee { handle } labels { nodes { name } } } errors { __typename code path } }',
  createTask: 'task { id }',
  createLabel: 'label { id }',
  deleteTask: 'deletedTaskId',
  restoreTask: 'task { id }',
  updateTasks:
    'results { id task { id status version parent { id } labels { nodes { name } } } errors { __typename code message path } }',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

const made = async (count: number, projectId: string = w.f.ops.id): Promise<string[]> => {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await w.mutate('createTask', { projectId, title: `T${i}` })).task.id);
  return ids;
};
/** The statements of a mutation, without those that verify its sender. */
const statements = () => w.here.counts.statements.filter((text) => !/from "?users"?/.test(text)).length;
const VERSIONS = 'query($p: ID!) { project(id: $p) { tasks(first: 100) { nodes { id version status } } } }';

test('changes all, in the order given, with one fence; every list shows it at once', async () => {
  const list = '{ project(key: "OPS") { tasks(filter: { status: { eq: IN_PROGRESS } }) { totalCount } } }';
  const ids = await made(4);
  const before = await w.read(list);
  w.here.reset();
  const { results, errors } = await w.mutate('updateTasks', { ids: [...ids].reverse(), status: 'IN_PROGRESS' });
  expect(w.here.counts.fences).toBe(1);
  expect(errors).toEqual([]);
  expect(results).toMatchObject(
    [...ids].reverse().map((id) => ({ id, task: { id, status: 'IN_PROGRESS', version: 2 }, errors: [] })),
  );
  expect((await w.read(list)).project.tasks.totalCount).toBe(before.project.tasks.totalCount + 4);
});

test('each is refused on its own: what is not there, not theirs, not allowed, not possible', async () => {
  const [mine = ''] = await made(1);
  const [web = ''] = await made(1, w.f.web.id);
  const missing = newId('task');
  const ids = [web, mine, missing];
  // bob is a member of OPS alone.
  const { results, errors } = await w.mutate('updateTasks', { ids, status: 'TODO' }, { as: w.f.bob.id });
  expect(errors).toEqual([]);
  expect(results).toMatchObject([
    { id: web, task: null, errors: [{ __typename: 'NotFoundError', path: ['input', 'ids', '0'] }] },
    { id: mine, task: { status: 'TODO', version: 2 }, errors: [] },
    { id: missing, task: null, errors: [{ __typename: 'NotFoundError', path: ['input', 'ids', '2'] }] },
  ]);
  const viewer = await w.mutate('updateTasks', { ids: [mine], status: 'DONE' }, { as: w.f.vic.id });
  expect(viewer.results).toMatchObject([{ task: null, errors: [{ __typename: 'PermissionError' }] }]);
});

test('what is refused of one leaves nothing of it behind, the labels neither', async () => {
  const [ops = ''] = await made(1);
  const [web = ''] = await made(1, w.f.web.id);
  // A label of WEB, so OPS refuses it, and an assignee who is in OPS alone.
  const label = (await w.mutate('createLabel', { projectId: w.f.web.id, name: 'web' })).label.id;
  const labelled = await w.mutate('updateTasks', { ids: [ops, web], status: 'TODO', labelIds: [label] });
  expect(labelled.results).toMatchObject([
    { id: ops, task: null, errors: [{ __typename: 'NotFoundError', path: ['input', 'labelIds'] }] },
    { id: web, task: { status: 'TODO', labels: { nodes: [{ name: 'web' }] } }, errors: [] },
  ]);
  const assigned = await w.mutate('updateTasks', { ids: [ops, web], assigneeId: w.f.bob.id, labelIds: null });
  expect(assigned.results).toMatchObject([
    { id: ops, errors: [] },
    { id: web, task: null, errors: [{ __typename: 'NotFoundError', path: ['input', 'assigneeId'] }] },
  ]);
  const read = 'query($id: ID!) { task(id: $id) { version status labels { nodes { name } } } }';
  expect((await w.read(read, { id: web })).task).toEqual({
    version: 2,
    status: 'TODO',
    labels: { nodes: [{ name: 'web' }] },
  });
});

test('a task cannot become part of itself; the others do', async () => {
  const [parent = '', a = '', b = ''] = await made(3);
  const { results } = await w.mutate('updateTasks', { ids: [a, parent, b], parentId: parent });
  expect(results).toMatchObject([
    { task: { parent: { id: parent } } },
    { task: null, errors: [{ path: ['input', 'parentId'] }] },
    { task: { parent: { id: parent } } },
  ]);
});

describe('is refused as a whole, with no results,', () => {
  test.each([
    ['without ids', { ids: [] }, ['ids']],
    ['with more than 100', { ids: Array.from({ length: 101 }, () => newId('task')) }, ['ids']],
    ['with what is no id', { ids: ['OPS-1'] }, ['ids', '0']],
    ['with one named twice', () => ({ ids: [w.f.opsTasks[0]?.id, w.f.opsTasks[0]?.id] }), ['ids']],
    ['with a title cleared', () => ({ ids: [w.f.opsTasks[0]?.id], title: null }), ['title']],
  ])('%s', async (_, input, path) => {
    const payload = await w.mutate('updateTasks', typeof input === 'function' ? input() : input);
    expectRefusal(payload, 'ValidationError', ...path);
    expect(payload.results).toEqual([]);
  });
});

test('100 tasks at once', async () => {
  const ids = await made(20);
  const many = [...ids, ...Array.from({ length: 80 }, () => newId('task'))];
  const { results } = await w.mutate('updateTasks', { ids: many, priority: 'HIGH' });
  expect(results.filter(({ errors }: { errors: object[] }) => errors.length === 0)).toHaveLength(20);
  expect(results).toHaveLength(100);
});

test('calls that cross in any order never wait for each other for good', async () => {
  const ids = await made(6);
  const before = (await w.read(VERSIONS, { p: w.f.ops.id })).project.tasks.nodes;
  const rotated = (by: number) => [...ids.slice(by), ...ids.slice(0, by)];
  const calls = ids.flatMap((parent, i) => [
    w.mutate('updateTasks', { ids: rotated(i), title: `By ${i}` }),
    w.mutate('updateTasks', { ids: rotated(i).reverse(), description: `By ${i}` }, { on: w.there }),
    w.mutate('updateTasks', { ids: rotated(i), parentId: parent }, { on: w.there }),
  ]);
  // A deadlock would be an error of Postgres: masked, at the top level, and `mutate` fails on it.
  const answers = await Promise.all(calls);
  for (const { errors, results } of answers) {
    expect(errors).toEqual([]);
    expect(results).toHaveLength(6);
  }
  const after = (await w.read(VERSIONS, { p: w.f.ops.id })).project.tasks.nodes;
  expect(after).not.toEqual(before);
});

test('deleting a task never waits for good with changes of its parts, whichever is older', async () => {
  for (let i = 0; i < 5; i++) {
    const [part = '', parent = ''] = await made(2); // so the part comes first in the order of ids
    await w.mutate('updateTasks', { ids: [part], parentId: parent });
    const [deleted, ...changed] = await Promise.all([
      w.mutate('deleteTask', { id: parent }),
      w.mutate('updateTasks', { ids: [parent, part], title: 'Crossing' }, { on: w.there }),
      w.mutate('updateTasks', { ids: [part, parent], title: 'Crossing too' }, { on: w.there }),
    ]);
    expect(deleted.errors).toEqual([]);
    for (const { results } of changed) {
      const ofPart = results.find(({ id }: { id: string }) => id === part);
      expect(ofPart.errors).toEqual([]);
    }
  }
});

describe('createTasks', () => {
  const newTask = (title: string) => ({ projectId: w.f.ops.id, title });

  test('creates 100 tasks by as many statements as one, with one fence, and every list shows them at once', async () => {
    const labelled = (title: string) => ({
      ...newTask(title),
      assigneeId: w.f.bob.id,
      parentId: w.f.opsTasks[0]?.id,
      labelIds: [w.f.bug.id, w.f.docs.id],
    });
    const list = '{ project(key: "OPS") { tasks(filter: { title: { startsWith: "Many" } }) { totalCount } } }';
    expect((await w.read(list)).project.tasks.totalCount).toBe(0);
    w.here.reset();
    await w.mutate('createTasks', { tasks: [labelled('One')] });
    const ofOne = statements();
    w.here.reset();
    const tasks = Array.from({ length: 100 }, (_, i) => labelled(`Many ${i}`));
    const { results, errors } = await w.mutate('createTasks', { tasks });
    expect([statements(), w.here.counts.fences]).toEqual([ofOne, 1]);
    expect(errors).toEqual([]);
    const first = results[0].task.number;
    expect(results).toMatchObject(
      tasks.map(({ title, parentId }, i) => ({
        task: {
          title,
          number: first + i,
          version: 1,
          parent: { id: parentId },
          assignee: { handle: 'bob' },
          labels: { nodes: [{ name: 'bug' }, { name: 'docs' }] },
        },
        errors: [],
      })),
    );
    expect((await w.read(list)).project.tasks.totalCount).toBe(100);
  });

  test('refuses each task on its own, with all its faults, and creates the others, in several projects', async () => {
    const tasks = [
      newTask('First'),
      { ...newTask(' '), assigneeId: w.f.eve.id, labelIds: [newId('label')] },
      { projectId: w.f.web.id, title: 'Web', parentId: w.f.webTask.id },
      { projectId: newId('project'), title: 'Nowhere' },
      newTask('Second'),
    ];
    const { results } = await w.mutate('createTasks', { tasks });
    const fault = (code: string, ...path: string[]) => ({ code, path: ['input', 'tasks', ...path] });
    expect(results).toMatchObject([
      { task: { title: 'First' }, errors: [] },
      {
        task: null,
        errors: [
          fault('BLANK', '1', 'title'),
          fault('NOT_FOUND', '1', 'assigneeId'),
          fault('NOT_FOUND', '1', 'labelIds'),
        ],
      },
      { task: { title: 'Web', parent: { id: w.f.webTask.id } }, errors: [] },
      { task: null, errors: [fault('NOT_FOUND', '3', 'projectId')] },
      { task: { title: 'Second', number: results[0].task.number + 1 }, errors: [] },
    ]);
    expectRefusal(await w.mutate('createTasks', { tasks: [] }), 'ValidationError', 'tasks');
  });

  test('a repetition with the same key creates nothing and answers the same, refusals too, on any process', async () => {
    const input = { tasks: [newTask('Repeated'), newTask(''), newTask('Repeated too')], idempotencyKey: 'many' };
    const first = await w.mutate('createTasks', input);
    const before = await w.read('{ tasks { totalCount } }');
    for (const on of [w.there, w.here]) expect(await w.mutate('createTasks', input, { on })).toEqual(first);
    expect(await w.read('{ tasks { totalCount } }')).toEqual(before);
    const other = await w.mutate('createTasks', { ...input, tasks: [newTask('Another')] });
    expectRefusal(other, 'ConflictError', 'idempotencyKey');
  });
});

describe('updateTasks by versions and labels', () => {
  const conflicting = {
    __typename: 'ConflictError',
    code: 'CONFLICT',
    path: ['input', 'tasks', '1', 'expectedVersion'],
  };

  test('changes 100 tasks by as many statements as one', async () => {
    const tasks = Array.from({ length: 100 }, (_, i) => ({ projectId: w.f.ops.id, title: `C${i}` }));
    const { results } = await w.mutate('createTasks', { tasks });
    const ids = results.map(({ task }: { task: { id: string } }) => task.id);
    const change = { status: 'DONE', assigneeId: w.f.bob.id, addLabelIds: [w.f.bug.id] };
    const [single = ''] = await made(1);
    w.here.reset();
    await w.mutate('updateTasks', { ids: [single], ...change });
    const ofOne = statements();
    w.here.reset();
    const updated = await w.mutate('updateTasks', { ids, ...change });
    expect([statements(), w.here.counts.fences]).toEqual([ofOne, 1]);
    expect(updated.results).toMatchObject(ids.map((id: string) => ({ id, task: { status: 'DONE', version: 2 } })));
  });

  test('refuses those that have another version, and adds and removes labels of the others', async () => {
    const [a = '', b = '', c = ''] = await made(3);
    await w.mutate('updateTasks', { ids: [a, c], labelIds: [w.f.bug.id] });
    const { results } = await w.mutate('updateTasks', {
      tasks: [{ id: a, expectedVersion: 2 }, { id: b, expectedVersion: 9 }, { id: c }],
      addLabelIds: [w.f.docs.id],
      removeLabelIds: [w.f.bug.id],
    });
    const docs = { labels: { nodes: [{ name: 'docs' }] }, version: 3 };
    expect(results).toMatchObject([
      { id: a, task: docs, errors: [] },
      { id: b, task: null, errors: [conflicting] },
      { id: c, task: docs, errors: [] },
    ]);
    const labels = '{ labels { nodes { name } } }';
    const read = await w.read(`query($a: ID!, $b: ID!) { a: task(id: $a) ${labels} b: task(id: $b) ${labels} }`, {
      a,
      b,
    });
    expect(read).toEqual({ a: { labels: { nodes: [{ name: 'docs' }] } }, b: { labels: { nodes: [] } } });
  });

  test('a repetition with the same key changes nothing, and answers with the tasks as they are now', async () => {
    const [a = '', b = ''] = await made(2);
    const input = { tasks: [{ id: a }, { id: b, expectedVersion: 9 }], status: 'TODO', idempotencyKey: 'update' };
    const first = await w.mutate('updateTasks', input);
    expect(first.results).toMatchObject([{ task: { version: 2 } }, { task: null, errors: [conflicting] }]);
    await w.mutate('updateTasks', { ids: [a], status: 'DONE' });
    const again = await w.mutate('updateTasks', input, { on: w.there });
    expect(again.results).toMatchObject([{ task: { version: 3, status: 'DONE' } }, { errors: [conflicting] }]);
    expectRefusal(await w.mutate('updateTasks', { ...input, assigneeId: null }), 'ConflictError', 'idempotencyKey');
  });

  test.each([
    ['both ids and tasks', (id: string) => ({ ids: [id], tasks: [{ id }] }), ['ids']],
    ['neither ids nor tasks', () => ({}), ['ids']],
    ['one task twice', (id: string) => ({ tasks: [{ id }, { id, expectedVersion: 1 }] }), ['tasks']],
    ['labels in two ways', (id: string) => ({ ids: [id], labelIds: null, addLabelIds: [w.f.bug.id] }), ['labelIds']],
    [
      'a label to add and to remove',
      (id: string) => ({ ids: [id], addLabelIds: [w.f.bug.id], removeLabelIds: [w.f.bug.id] }),
      ['removeLabelIds'],
    ],
  ])('is refused with %s', async (_, input, path) => {
    expectRefusal(await w.mutate('updateTasks', input(w.f.opsTasks[0]?.id ?? '')), 'ValidationError', ...path);
  });
});

describe('deleteTasks', () => {
  const COUNT = '{ project(key: "OPS") { tasks { totalCount } } }';
  const count = async () => (await w.read(COUNT)).project.tasks.totalCount;

  test('deletes 100 tasks by as many statements as one, with one fence, and no list shows them any more', async () => {
    const tasks = Array.from({ length: 99 }, (_, i) => ({ projectId: w.f.ops.id, title: `D${i}` }));
    const { results } = await w.mutate('createTasks', { tasks });
    const [parent = '', kept = '', single = '', part = ''] = await made(4);
    await w.mutate('updateTasks', { ids: [kept], parentId: parent });
    await w.mutate('updateTasks', { ids: [part], parentId: single });
    const before = await count();
    w.here.reset();
    await w.mutate('deleteTasks', { ids: [single] });
    const ofOne = statements();
    w.here.reset();
    const ids = [parent, ...results.map(({ task }: { task: { id: string } }) => task.id)];
    const deleted = await w.mutate('deleteTasks', { ids });
    expect([statements(), w.here.counts.fences]).toEqual([ofOne, 1]);
    expect(deleted).toMatchObject({ results: ids.map((id) => ({ id, deletedTaskId: id, errors: [] })), errors: [] });
    expect(await count()).toBe(before - 101);
    const read = await w.read('query($id: ID!) { task(id: $id) { parent { id } version } }', { id: kept });
    expect(read.task).toEqual({ parent: null, version: 3 });
    await w.mutate('restoreTask', { id: parent });
    const again = await w.read('query($id: ID!) { task(id: $id) { parent { id } } }', { id: kept });
    expect(again.task.parent).toEqual({ id: parent });
  });

  test('refuses each on its own, and answers a repetition with the same key as the first time', async () => {
    const [a = '', b = '', c = ''] = await made(3);
    await w.mutate('updateTasks', { ids: [c], parentId: a });
    const missing = newId('task');
    const input = {
      tasks: [{ id: a, expectedVersion: 1 }, { id: missing }, { id: b, expectedVersion: 9 }, { id: c }],
      idempotencyKey: 'delete',
    };
    const fault = (code: string, ...path: string[]) => ({ code, path: ['input', 'tasks', ...path] });
    const answered = [
      { id: a, deletedTaskId: a, errors: [] },
      { id: missing, deletedTaskId: null, errors: [fault('NOT_FOUND', '1', 'id')] },
      { id: b, deletedTaskId: null, errors: [{ ...fault('CONFLICT', '2', 'expectedVersion'), task: { version: 1 } }] },
      { id: c, deletedTaskId: c, errors: [] },
    ];
    expect((await w.mutate('deleteTasks', input)).results).toMatchObject(answered);
    const before = await count();
    expect((await w.mutate('deleteTasks', input, { on: w.there })).results).toMatchObject(answered);
    expect(await count()).toBe(before);
    const { results } = await w.mutate('deleteTasks', { ids: [b] }, { as: w.f.vic.id });
    expect(results).toMatchObject([
      { deletedTaskId: null, errors: [{ code: 'FORBIDDEN', path: ['input', 'ids', '0'] }] },
    ]);
  });

  test('crossing calls of parents, parts and updates never wait for each other for good', async () => {
    for (let i = 0; i < 3; i++) {
      const [part = '', parent = '', other = ''] = await made(3);
      await w.mutate('updateTasks', { ids: [part, other], parentId: parent });
      const answers = await Promise.all([
        w.mutate('deleteTasks', { ids: [parent, other] }),
        w.mutate('deleteTasks', { ids: [other, parent] }, { on: w.there }),
        w.mutate('updateTasks', { ids: [parent, part], title: 'Crossing' }, { on: w.there }),
      ]);
      for (const { errors } of answers) expect(errors).toEqual([]);
      expect(answers[2].results[1].errors).toEqual([]);
    }
  });
});
