/** Start dates, estimates and several assignees of tasks, as mutations set them and every list on another process shows them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { dataOf } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const TASK = 'task { id version startDate dueDate estimate assignee { handle } assignees { handle } }';
const MANY = 'results { task { version assignees { handle } } errors { code path } }';
const FIELDS = {
  updateTasks: MANY,
  addMember: 'project { id }',
  removeMember: 'removedUserId',
  deleteTask: 'deletedTaskId',
};

let p: TwoProcesses;
beforeAll(async () => {
  p = await twoProcesses({
    ...Object.fromEntries(
      ['createTask', 'updateTask', 'assignTask', 'moveTask', 'restoreTask'].map((name) => [name, TASK]),
    ),
    ...FIELDS,
  });
});
afterAll(() => p?.close());

const handles = (...names: string[]) => names.map((handle) => ({ handle }));
const created = async (more: object = {}) =>
  (await p.mutate('createTask', { projectId: p.f.ops.id, title: 'A task', ...more })).task;

/** The ids of the tasks that the other process shows as assigned to a user. */
async function assignedTo(id: UserId): Promise<string[]> {
  const list = `assignedTasks(first: 100) { totalCount nodes { id } }`;
  const { node } = await p.read(`query($id: ID!) { node(id: $id) { ... on User { ${list} } } }`, { id });
  const ids = node.assignedTasks.nodes.map((task: { id: string }) => task.id);
  expect(node.assignedTasks.totalCount).toBe(ids.length);
  return ids;
}

async function shown(id: string) {
  const task = 'task(id: $id) { startDate estimate assignee { handle } assignees { handle } }';
  return (await p.read(`query($id: ID!) { ${task} }`, { id })).task;
}

describe('startDate and estimate', () => {
  test('are set, changed and cleared', async () => {
    const task = await created({ startDate: '2030-01-01', dueDate: '2030-01-01', estimate: 0 });
    expect(task).toMatchObject({ startDate: '2030-01-01', estimate: 0 });
    await shown(task.id);
    const changed = await p.mutate('updateTask', { id: task.id, startDate: '2029-12-31', estimate: 1000 });
    expect(changed.task).toMatchObject({ version: 2, startDate: '2029-12-31', estimate: 1000 });
    expect(await shown(task.id)).toMatchObject({ startDate: '2029-12-31', estimate: 1000 });
    const cleared = await p.mutate('updateTask', { id: task.id, startDate: null, estimate: null });
    expect(cleared.task).toMatchObject({ version: 3, startDate: null, estimate: null });
  });

  test.each([
    [{ startDate: '2030-01-03' }, 'startDate'],
    [{ dueDate: '2029-01-01' }, 'dueDate'],
    [{ startDate: '2031-01-02', dueDate: '2031-01-01' }, 'startDate'],
    [{ estimate: 1001 }, 'estimate'],
    [{ estimate: -1 }, 'estimate'],
  ])('%j is refused', async (values, field) => {
    const task = await created({ startDate: '2030-01-01', dueDate: '2030-01-02' });
    expectRefusal(await p.mutate('updateTask', { id: task.id, ...values }), 'ValidationError', field);
    const [result] = (await p.mutate('updateTasks', { ids: [task.id], ...values })).results ?? [];
    if (field === 'estimate') expect(result).toBeUndefined();
    else expect(result.errors).toEqual([{ code: 'INVALID', path: ['input', field] }]);
  });

  test('a new task that starts late is refused with its other faults', async () => {
    const input = { startDate: '2030-01-02', dueDate: '2030-01-01', estimate: 2000 };
    const { errors } = await p.mutate('createTask', { projectId: p.f.ops.id, title: ' ', ...input });
    expect(errors.map(({ path }: { path: string[] }) => path[1]).sort()).toEqual(['estimate', 'startDate', 'title']);
  });

  test('lists by them are right after each write', async () => {
    const list = `query($id: ID!) { project(id: $id) {
      tasks(filter: { startDate: { gte: "2040-01-01" }, estimate: { gte: 5 } }
        orderBy: [{ field: ESTIMATE, direction: ASC }, { field: START_DATE, direction: DESC }]) { nodes { title } } } }`;
    const titles = async () =>
      (await p.read(list, { id: p.f.ops.id })).project.tasks.nodes.map(({ title }: { title: string }) => title);
    expect(await titles()).toEqual([]);
    const big = await created({ title: 'big', startDate: '2040-01-01', estimate: 8 });
    const late = await created({ title: 'late', startDate: '2040-02-01', estimate: 5 });
    await created({ title: 'early', startDate: '2040-01-02', estimate: 5 });
    expect(await titles()).toEqual(['late', 'early', 'big']);
    await p.mutate('updateTask', { id: big.id, estimate: 4 });
    expect(await titles()).toEqual(['late', 'early']);
    await p.mutate('updateTask', { id: late.id, startDate: '2040-01-01' });
    expect(await titles()).toEqual(['early', 'late']);
  });
});

describe('assignees', () => {
  test('of a new task are shown in order, each once, and the first is its assignee', async () => {
    const { ada, bob, vic } = p.f;
    const { id, assignee, assignees } = await created({ assigneeIds: [bob.id, vic.id, bob.id, ada.id] });
    expect(assignee).toEqual({ handle: 'bob' });
    expect(assignees).toEqual(handles('bob', 'vic', 'ada'));
    expect(await shown(id)).toMatchObject({ assignee: { handle: 'bob' }, assignees: handles('bob', 'vic', 'ada') });
    for (const user of [ada, bob, vic]) expect(await assignedTo(user.id)).toContain(id);
  });

  test.each(['updateTask', 'assignTask'])('%s changes the lists of those who come and go', async (name) => {
    const { ada, bob, vic } = p.f;
    const { id } = await created({ assigneeId: ada.id });
    expect([await assignedTo(ada.id), await assignedTo(vic.id)]).toEqual([
      expect.arrayContaining([id]),
      expect.not.arrayContaining([id]),
    ]);
    const given = await p.mutate(name, { id, assigneeIds: [ada.id, vic.id] });
    expect(given.task).toMatchObject({ version: 2, assignees: handles('ada', 'vic') });
    expect(await assignedTo(vic.id)).toContain(id);
    expect((await p.mutate(name, { id, assigneeIds: [vic.id, ada.id] })).task.assignees).toEqual(handles('vic', 'ada'));
    expect((await p.mutate(name, { id, assigneeIds: [vic.id, ada.id] })).task.version).toBe(3);
    expect((await p.mutate(name, { id, assigneeId: bob.id })).task.assignees).toEqual(handles('bob'));
    for (const user of [ada, vic]) expect(await assignedTo(user.id)).not.toContain(id);
    expect(await assignedTo(bob.id)).toContain(id);
    expect((await p.mutate(name, { id, assigneeIds: null })).task).toMatchObject({ assignee: null, assignees: [] });
    expect(await assignedTo(bob.id)).not.toContain(id);
  });

  test('a change of another field moves the task in the lists of each', async () => {
    const { ada, vic } = p.f;
    const { id } = await created({ assigneeIds: [ada.id, vic.id] });
    const list = 'assignedTasks(filter: { status: { eq: IN_REVIEW } }) { nodes { id } }';
    const reviewed = async () =>
      (await p.read(`query($id: ID!) { node(id: $id) { ... on User { ${list} } } }`, { id: vic.id })).node
        .assignedTasks;
    expect((await reviewed()).nodes).toEqual([]);
    await p.mutate('updateTask', { id, status: 'IN_REVIEW' });
    expect((await reviewed()).nodes).toEqual([{ id }]);
    await p.mutate('updateTask', { id, status: 'TODO' });
    expect((await reviewed()).nodes).toEqual([]);
  });

  test('updateTasks adds and removes users of each task', async () => {
    const { ada, bob, vic } = p.f;
    const ids = [
      (await created({ assigneeId: ada.id })).id,
      (await created()).id,
      (await created({ assigneeIds: [bob.id, ada.id] })).id,
    ];
    for (const user of [ada, bob, vic]) await assignedTo(user.id);
    const input = { ids, addAssigneeIds: [vic.id, bob.id], removeAssigneeIds: [ada.id], estimate: 3 };
    const { results } = await p.mutate('updateTasks', input);
    expect(results.map(({ task }: { task: object }) => task)).toEqual([
      { version: 2, assignees: handles('vic', 'bob') },
      { version: 2, assignees: handles('vic', 'bob') },
      { version: 2, assignees: handles('bob', 'vic') },
    ]);
    expect(await assignedTo(vic.id)).toEqual(expect.arrayContaining(ids));
    expect(await assignedTo(ada.id)).not.toEqual(expect.arrayContaining([ids[0]]));
    for (const id of ids) expect(await shown(id)).toMatchObject({ estimate: 3 });
    const again = await p.mutate('updateTasks', { ids, addAssigneeIds: [vic.id] });
    expect(again.results.map(({ task }: { task: { version: number } }) => task.version)).toEqual([2, 2, 2]);
  });

  test('who are no members, too many, or named in two ways are refused', async () => {
    const { ada, eve } = p.f;
    const { id } = await created();
    const update = (input: object) => p.mutate('updateTask', { id, ...input });
    expectRefusal(await update({ assigneeIds: [ada.id, eve.id] }), 'NotFoundError', 'assigneeIds');
    expectRefusal(await update({ assigneeIds: [ada.id, newId('user')] }), 'NotFoundError', 'assigneeIds');
    expectRefusal(await update({ assigneeIds: [ada.id], assigneeId: ada.id }), 'ValidationError', 'assigneeIds');
    const eleven = Array.from({ length: 11 }, () => newId('user'));
    expectRefusal(await update({ assigneeIds: eleven }), 'ValidationError', 'assigneeIds');
    const many = (input: object) => p.mutate('updateTasks', { ids: [id], ...input });
    const both = { addAssigneeIds: [ada.id], removeAssigneeIds: [ada.id] };
    expectRefusal(await many(both), 'ValidationError', 'removeAssigneeIds');
    expectRefusal(await many({ assigneeIds: [], addAssigneeIds: [ada.id] }), 'ValidationError', 'addAssigneeIds');
    const { results } = await many({ addAssigneeIds: [ada.id, eve.id] });
    expect(results[0].errors).toEqual([{ code: 'NOT_FOUND', path: ['input', 'addAssigneeIds'] }]);
    expect(await shown(id)).toMatchObject({ assignees: [] });
    expect((await created({ assigneeIds: null, assigneeId: ada.id })).assignees).toEqual(handles('ada'));
  });

  test('a member who is removed is unassigned, and the next one moves up', async () => {
    const { ada, bob, eve, ops } = p.f;
    await p.mutate('addMember', { projectId: ops.id, userId: eve.id, role: 'MEMBER' });
    const first = (await created({ assigneeIds: [eve.id, bob.id, ada.id] })).id;
    const last = (await created({ assigneeIds: [ada.id, eve.id] })).id;
    for (const id of [first, last]) await shown(id);
    const list = '{ tasks(filter: { assignees: { some: { id: { eq: $id } } } }) { nodes { id } } }';
    const ofEve = async () => (await p.read(`query($id: ID!) ${list}`, { id: eve.id })).tasks.nodes;
    expect(await ofEve()).toHaveLength(2);
    await p.mutate('removeMember', { projectId: ops.id, userId: eve.id });
    expect((await shown(first)).assignees).toEqual(handles('bob', 'ada'));
    expect((await shown(last)).assignees).toEqual(handles('ada'));
    expect(await ofEve()).toEqual([]);
  });

  test('of a task that moves or comes back from the trash are those who are members there', async () => {
    const { ada, bob, eve, ops, web } = p.f;
    await p.mutate('addMember', { projectId: ops.id, userId: eve.id, role: 'MEMBER' });
    const { id } = await created({ assigneeIds: [eve.id, ada.id, bob.id], startDate: '2030-01-01', estimate: 3 });
    expect((await p.mutate('moveTask', { id, projectId: web.id })).task.assignees).toEqual(handles('ada'));
    const kept = (await created({ assigneeIds: [eve.id, bob.id, ada.id], startDate: '2030-01-01', estimate: 3 })).id;
    await p.mutate('deleteTask', { id: kept });
    await p.mutate('removeMember', { projectId: ops.id, userId: eve.id });
    const { task } = await p.mutate('restoreTask', { id: kept });
    expect(task).toMatchObject({ assignees: handles('bob', 'ada'), startDate: '2030-01-01', estimate: 3 });
    expect(await assignedTo(ada.id)).toEqual(expect.arrayContaining([id, kept]));
  });

  test('a write that names one assignee or none fences no tag of other assignees', async () => {
    const { ada, bob } = p.f;
    const tagsOf = async (mutation: string) => {
      const answer = await p.here.ask(`mutation { ${mutation} { errors { message } } }`, { as: ada.id, trace: true });
      const tags = answer.cache?.invalidated ?? [];
      expect(tags.length).toBeGreaterThan(3);
      return tags.filter((tag) => /other_assignees|start_date|estimate/.test(tag));
    };
    const { id } = await created({ assigneeId: ada.id });
    const create = `createTask(input: { projectId: "${p.f.ops.id}", title: "Plain", assigneeId: "${bob.id}" })`;
    expect(await tagsOf(create)).toEqual([]);
    expect(await tagsOf(`assignTask(input: { id: "${id}", assigneeId: "${bob.id}" })`)).toEqual([]);
    expect(await tagsOf(`updateTask(input: { id: "${id}", status: DONE })`)).toEqual([]);
    const both = `["${bob.id}", "${ada.id}"]`;
    expect(await tagsOf(`updateTask(input: { id: "${id}", assigneeIds: ${both} })`)).toHaveLength(1);
  });

  test('a filter by users who must not match is refused where it cannot select users', async () => {
    const query = (where: string) =>
      p.here.ask(`{ tasks(filter: { assignees: { some: ${where} } }) { nodes { id } } }`, { as: p.f.ada.id });
    for (const where of [`{ id: { neq: "${p.f.ada.id}" } }`, '{ isMe: { eq: false } }']) {
      const { errors } = await query(where);
      expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_USER_INPUT', argument: 'filter.assignees.some' } });
    }
    expect(dataOf(await query('{ isMe: { eq: true }, handle: { in: ["ada", "bob"] } }')).tasks.nodes).not.toEqual([]);
    expect(dataOf(await query('{ isMe: { eq: true }, handle: { eq: "bob" } }')).tasks.nodes).toEqual([]);
  });
});
