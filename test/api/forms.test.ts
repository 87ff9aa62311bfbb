/** A mutation names all faults of its input in one answer: those of form, and those that only the database can tell. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

async function mutate(name: string, input: object, as = f.ada.id) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { errors { __typename code path } } }`;
  return dataOf(await app.ask(document, { as, variables: { input } }))[name];
}

/** The faults as `field CODE`, sorted. */
async function faultsOf(name: string, input: object, as = f.ada.id): Promise<string[]> {
  const { errors } = await mutate(name, input, as);
  return errors.map(({ path, code }: { path: string[]; code: string }) => `${path.slice(1).join('.')} ${code}`).sort();
}

const all = async () =>
  dataOf(await app.ask('{ tasks(first: 100) { totalCount nodes { id version } } }', { as: f.ada.id }));

test.each<[string, () => object, string[]]>([
  [
    'createTask',
    () => ({
      projectId: f.ops.id,
      title: ' ',
      description: 'x'.repeat(65_537),
      assigneeId: f.eve.id,
      parentId: f.webTask.id,
      labelIds: [f.bug.id, newId('label')],
    }),
    ['assigneeId NOT_FOUND', 'description TOO_LONG', 'labelIds NOT_FOUND', 'parentId NOT_FOUND', 'title BLANK'],
  ],
  ['createTask', () => ({ projectId: newId('project'), title: '' }), ['projectId NOT_FOUND', 'title BLANK']],
  [
    'updateTask',
    () => ({
      id: f.opsTasks[0]?.id,
      expectedVersion: 7,
      title: null,
      assigneeId: newId('user'),
      parentId: f.opsTasks[0]?.id,
      labelIds: [newId('label')],
    }),
    ['assigneeId NOT_FOUND', 'expectedVersion CONFLICT', 'labelIds NOT_FOUND', 'parentId INVALID', 'title BLANK'],
  ],
  [
    'updateTask',
    () => ({ id: f.opsTasks[0]?.id, labelIds: Array.from({ length: 51 }, () => newId('label')), parentId: 'OPS-1' }),
    ['labelIds LIMIT', 'labelIds NOT_FOUND', 'parentId INVALID'],
  ],
  [
    'assignTask',
    () => ({ id: f.opsTasks[0]?.id, expectedVersion: 7, assigneeId: f.eve.id }),
    ['assigneeId NOT_FOUND', 'expectedVersion CONFLICT'],
  ],
  ['addLabels', () => ({ taskId: newId('task'), labelIds: [] }), ['labelIds TOO_SHORT', 'taskId NOT_FOUND']],
  [
    'moveTask',
    () => ({ id: f.opsTasks[0]?.id, expectedVersion: 7, projectId: newId('project') }),
    ['expectedVersion CONFLICT', 'projectId NOT_FOUND'],
  ],
  ['moveTask', () => ({ id: 'OPS-1', projectId: newId('project') }), ['id INVALID', 'projectId NOT_FOUND']],
  [
    'moveTaskInList',
    () => ({ id: f.opsTasks[0]?.id, expectedVersion: 7, before: newId('task') }),
    ['before NOT_FOUND', 'expectedVersion CONFLICT'],
  ],
  [
    'addTaskRelation',
    () => ({ taskId: newId('task'), type: 'BLOCKS', relatedTaskId: newId('task') }),
    ['relatedTaskId NOT_FOUND', 'taskId NOT_FOUND'],
  ],
  [
    'removeTaskRelation',
    () => ({ taskId: 'OPS-1', type: 'BLOCKS', relatedTaskId: newId('task') }),
    ['relatedTaskId NOT_FOUND', 'taskId INVALID'],
  ],
  [
    'addTaskRelation',
    () => ({ taskId: f.opsTasks[0]?.id, type: 'RELATES_TO', relatedTaskId: f.opsTasks[0]?.id }),
    ['relatedTaskId INVALID'],
  ],
  ['moveTaskInList', () => ({ id: newId('task'), after: 'OPS-1' }), ['after INVALID', 'id NOT_FOUND']],
  ['createLabel', () => ({ projectId: f.ops.id, name: 'bug', color: 'red' }), ['color INVALID', 'name TAKEN']],
  ['createLabel', () => ({ projectId: f.ops.id, name: 'bug' }), ['name TAKEN']],
  ['updateLabel', () => ({ id: f.docs.id, name: 'bug', color: null }), ['color BLANK', 'name TAKEN']],
  ['createComment', () => ({ taskId: newId('task'), body: '' }), ['body BLANK', 'taskId NOT_FOUND']],
  ['createProject', () => ({ key: 'OPS', name: '' }), ['key TAKEN', 'name BLANK']],
  ['createProject', () => ({ key: 'O', name: 'x'.repeat(101) }), ['key TOO_SHORT', 'name TOO_LONG']],
  ['updateProject', () => ({ id: newId('project'), name: null }), ['id NOT_FOUND', 'name BLANK']],
  ['addMember', () => ({ projectId: newId('project'), role: 'MEMBER' }), ['projectId NOT_FOUND', 'userId INVALID']],
])('%s names every fault of an input at once: case %#', async (name, input, faults) => {
  const before = await all();
  expect(await faultsOf(name, input())).toEqual(faults);
  expect(await all()).toEqual(before);
});

test('a viewer who may not write learns what is malformed, and nothing of what the input refers to', async () => {
  const input = { projectId: f.ops.id, title: '', assigneeId: f.eve.id, labelIds: [newId('label')] };
  expect(await faultsOf('createTask', input, f.eve.id)).toEqual(['projectId NOT_FOUND', 'title BLANK']);
  expect(await faultsOf('createTask', input, f.vic.id)).toEqual(['projectId FORBIDDEN', 'title BLANK']);
});

test('a user who exists and one who does not are refused alike as assignees', async () => {
  const refused = (assigneeId: string) => mutate('assignTask', { id: f.opsTasks[0]?.id, assigneeId });
  expect(await refused(f.eve.id)).toEqual(await refused(newId('user')));
});

test('a faulty input leaves its idempotency key unused', async () => {
  const input = { projectId: f.ops.id, title: 'Once', assigneeId: f.eve.id, idempotencyKey: 'forms' };
  expect(await faultsOf('createTask', { ...input, title: '' })).toEqual(['assigneeId NOT_FOUND', 'title BLANK']);
  expect(await faultsOf('createTask', { ...input, assigneeId: f.bob.id })).toEqual([]);
});

test('a task with a parent, an assignee and labels is created by ten statements', async () => {
  app.reset();
  const input = { projectId: f.ops.id, title: 'All', parentId: f.opsTasks[0]?.id, assigneeId: f.bob.id };
  expect(await faultsOf('createTask', { ...input, labelIds: [f.bug.id, f.docs.id] })).toEqual([]);
  const statements = app.counts.statements.filter((text) => !/from "?users"?/.test(text));
  // Locks of project, membership and tree; member, parent and labels; number, task, its labels; the tags.
  expect(statements).toHaveLength(10);
});
