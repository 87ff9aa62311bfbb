/** Changing and deleting labels. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const FIELDS: Record<string, string> = {
  createLabel: 'label { id name }',
  updateLabel: 'label { id name color description }',
  deleteLabel: 'deletedLabelId',
  addLabels: 'task { id }',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

const created = async (name: string): Promise<string> =>
  (await w.mutate('createLabel', { projectId: w.f.ops.id, name, description: 'Words' })).label.id;
const LISTS = `query($task: ID!, $label: ID!) {
  project(key: "OPS") { labels { totalCount nodes { name } } } task(id: $task) { labels { nodes { name } } }
  tasks(filter: { labels: { some: { id: { eq: $label } } } }) { totalCount } node(id: $label) { ... on Label { name color } } }`;

test('updateLabel changes what is given, clears what is null, and shows everywhere at once', async () => {
  const id = await created('before');
  await w.mutate('addLabels', { taskId: w.f.opsTasks[0]?.id, labelIds: [id] });
  const variables = { task: w.f.opsTasks[0]?.id, label: id };
  expect((await w.read(LISTS, variables)).node.name).toBe('before');
  const { label, errors } = await w.mutate('updateLabel', { id, name: ' after ', color: '#ABCDEF' });
  expect(errors).toEqual([]);
  expect(label).toEqual({ id, name: 'after', color: '#abcdef', description: 'Words' });
  const read = await w.read(LISTS, variables);
  expect(read.node).toEqual({ name: 'after', color: '#abcdef' });
  expect(read.task.labels.nodes).toContainEqual({ name: 'after' });
  expect(read.project.labels.nodes[0]).toEqual({ name: 'after' }); // by name
  expect((await w.mutate('updateLabel', { id, description: null })).label.description).toBeNull();
});

test('updateLabel that changes nothing invalidates nothing', async () => {
  const id = await created('same');
  w.here.reset();
  expect((await w.mutate('updateLabel', { id, name: 'same' })).errors).toEqual([]);
  expect((await w.mutate('updateLabel', { id })).label.name).toBe('same');
  expect(w.here.counts.fences).toBe(0);
});

test.each([
  ['name', { name: null }],
  ['name', { name: '' }],
  ['name', { name: 'bug' }], // taken
  ['color', { color: null }],
  ['color', { color: 'red' }],
  ['description', { description: 'x'.repeat(1001) }],
])('updateLabel refuses a bad %s: %o', async (field, input) => {
  const id = await created(`bad ${JSON.stringify(input).slice(0, 40)}`);
  expectRefusal(await w.mutate('updateLabel', { id, ...input }), 'ValidationError', field);
});

test('of two labels that want one name at once, one gets it', async () => {
  const [a, b] = [await created('left'), await created('right')];
  const answers = await Promise.all([
    w.mutate('updateLabel', { id: a, name: 'middle' }),
    w.mutate('updateLabel', { id: b, name: 'middle' }, { on: w.there }),
  ]);
  expect(answers.map(({ errors }) => errors.length).sort()).toEqual([0, 1]);
});

test('deleteLabel takes it from the tasks that bear it, in every list at once', async () => {
  const id = await created('gone');
  await w.mutate('addLabels', { taskId: w.f.opsTasks[1]?.id, labelIds: [id] });
  const variables = { task: w.f.opsTasks[1]?.id, label: id };
  const before = await w.read(LISTS, variables);
  expect(before.tasks.totalCount).toBe(1);
  expect(await w.mutate('deleteLabel', { id })).toEqual({ deletedLabelId: id, errors: [] });
  const after = await w.read(LISTS, variables);
  expect(after).toMatchObject({ node: null, tasks: { totalCount: 0 } });
  expect(after.task.labels.nodes).not.toContainEqual({ name: 'gone' });
  expect(after.project.labels.totalCount).toBe(before.project.labels.totalCount - 1);
  expectRefusal(await w.mutate('deleteLabel', { id }), 'NotFoundError', 'id');
});

test('a stranger finds no label, a VIEWER is refused, a MEMBER may', async () => {
  const id = await created('whose');
  for (const [name, input] of [
    ['updateLabel', { id, name: 'mine' }],
    ['deleteLabel', { id }],
  ] as const) {
    expectRefusal(await w.mutate(name, input, { as: w.f.eve.id }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, input, { as: w.f.vic.id }), 'PermissionError', 'id');
    expectRefusal(await w.mutate(name, { ...input, id: newId('label') }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, { ...input, id: 'bug' }), 'ValidationError', 'id');
    expect((await w.mutate(name, input, { as: w.f.bob.id })).errors).toEqual([]);
  }
  const create = { projectId: w.f.ops.id, name: 'no' };
  expectRefusal(await w.mutate('createLabel', create, { as: w.f.eve.id }), 'NotFoundError', 'projectId');
  expectRefusal(await w.mutate('createLabel', create, { as: w.f.vic.id }), 'PermissionError', 'projectId');
});
