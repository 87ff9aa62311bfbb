/** Which lists each kind of write drops: those that look at a column that it changed, and no other. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

/** By name: a query whose outcome for its page, count or statistics is looked at. `$project`, `$user` and `$task` are replaced. */
const LISTS = {
  all: list('', 'first: 5'),
  count: '{ project(id: "$project") { tasks { totalCount } } }',
  'by status': list('filter: { status: { in: [TODO, IN_PROGRESS] } }'),
  'by completion': list('orderBy: [{ field: COMPLETED_AT }]'),
  'by priority': list('orderBy: [{ field: PRIORITY }]'),
  'by due date': list('filter: { dueDate: { gte: "2030-01-01" } }'),
  'by start date': list('orderBy: [{ field: START_DATE, direction: ASC }]'),
  'by estimate': list('filter: { estimate: { gte: 3 } }'),
  'by several assignees': list('filter: { assignees: { every: { isMe: { eq: true } } } }'),
  'by one of the assignees': list('filter: { assignees: { some: { id: { eq: "$user" } } } }'),
  'by assignee': list('filter: { assignee: { id: { eq: "$user" } } }'),
  'without assignee': list('filter: { assignee: { null: true } }'),
  'without parent': list('filter: { parent: { null: true } }'),
  'by label': list('filter: { labels: { some: { name: { eq: "bug" } } } }'),
  'by title': list('orderBy: [{ field: TITLE }]'),
  'in manual order': list('orderBy: [{ field: MANUAL, direction: ASC }]'),
  'assigned in manual order': list(
    'filter: { assignee: { id: { eq: "$user" } } }, orderBy: [{ field: MANUAL, direction: ASC }]',
  ),
  blocked: list('filter: { isBlocked: true }'),
  'by search': list('filter: { search: "child" }'),
  'last changed': list('orderBy: [{ field: UPDATED_AT }]'),
  subtasks: '{ task(id: "$task") { subtasks(first: 5) { nodes { id } } } }',
  'open subtasks': '{ task(id: "$task") { subtasks(filter: { status: { in: [TODO] } }) { nodes { id } } } }',
  statistics: '{ project(id: "$project") { stats { total } } }',
  burndown: '{ project(id: "$project") { burndown(days: 7) { remaining } } }',
};
type List = keyof typeof LISTS;

function list(filter: string, page = 'first: 3'): string {
  return `{ project(id: "$project") { tasks(${page} ${filter}) { nodes { id } } } }`;
}

const TEXTS: List[] = ['by title', 'last changed'];
const ALL = Object.keys(LISTS) as List[];
const allBut = (...kept: List[]) => ALL.filter((name) => !kept.includes(name));

const update = (change: string) => `mutation { updateTask(input: { id: "$child", ${change} }) { errors { message } } }`;
/** A write of a subtask of `$task`, assigned to `$user`, and the lists that it drops. */
const WRITES: [string, string, List[]][] = [
  ['a title', update('title: "Another"'), ['by search', ...TEXTS]],
  ['a description', update('description: "Other words"'), ['by search', ...TEXTS]],
  [
    'a comment',
    'mutation { createComment(input: { taskId: "$child", body: "More words" }) { errors { message } } }',
    ['by search'],
  ],
  [
    'a status',
    update('status: IN_PROGRESS'),
    [
      ...TEXTS,
      'by status',
      'by completion',
      'blocked',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'open subtasks',
      'statistics',
      'burndown',
    ],
  ],
  [
    'completeTask',
    'mutation { completeTask(input: { id: "$child" }) { errors { message } } }',
    [
      ...TEXTS,
      'by status',
      'by completion',
      'blocked',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'open subtasks',
      'statistics',
      'burndown',
    ],
  ],
  [
    'a priority',
    update('priority: URGENT'),
    [
      ...TEXTS,
      'by priority',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'open subtasks',
      'statistics',
    ],
  ],
  [
    'a due date',
    update('dueDate: "2031-01-01"'),
    [
      ...TEXTS,
      'by due date',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'open subtasks',
      'statistics',
    ],
  ],
  [
    'assignTask',
    'mutation { assignTask(input: { id: "$child", assigneeId: null }) { errors { message } } }',
    [
      ...TEXTS,
      ...([
        'by several assignees',
        'by one of the assignees',
        'assigned in manual order',
        'by assignee',
        'without assignee',
        'open subtasks',
      ] as const),
    ],
  ],
  [
    'another assignee',
    update('assigneeIds: ["$user", "$other"]'),
    [
      ...TEXTS,
      'by several assignees',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'open subtasks',
    ],
  ],
  [
    'a start date',
    update('startDate: "2029-01-01"'),
    [...TEXTS, 'by start date', 'by one of the assignees', 'assigned in manual order', 'by assignee', 'open subtasks'],
  ],
  [
    'an estimate',
    update('estimate: 5'),
    [...TEXTS, 'by estimate', 'by one of the assignees', 'assigned in manual order', 'by assignee', 'open subtasks'],
  ],
  [
    'addTaskRelation: RELATES_TO',
    'mutation { addTaskRelation(input: { taskId: "$child", type: RELATES_TO, relatedTaskId: "$task" }) { errors { message } } }',
    [],
  ],
  [
    'addTaskRelation: BLOCKS',
    'mutation { addTaskRelation(input: { taskId: "$child", type: BLOCKS, relatedTaskId: "$task" }) { errors { message } } }',
    ['blocked'],
  ],
  // Labels are followed by label; the write counts as a change of the task.
  [
    'labels',
    'mutation { removeLabels(input: { taskId: "$child", labelIds: ["$label"] }) { errors { message } } }',
    [...TEXTS, 'by label'],
  ],
  [
    'no parent',
    update('parentId: null'),
    [
      ...TEXTS,
      'without parent',
      'by one of the assignees',
      'assigned in manual order',
      'by assignee',
      'subtasks',
      'open subtasks',
    ],
  ],
  [
    'createTask',
    'mutation { createTask(input: { projectId: "$project", title: "New" }) { errors { message } } }',
    allBut('by one of the assignees', 'assigned in manual order', 'by assignee', 'subtasks', 'open subtasks'),
  ],
  [
    'moveTaskInList',
    'mutation { moveTaskInList(input: { id: "$child", before: "$task" }) { errors { message } } }',
    [...TEXTS, 'in manual order', 'assigned in manual order'],
  ],
  ['deleteTask', 'mutation { deleteTask(input: { id: "$child" }) { errors { message } } }', ALL],
];

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
  const [one, other] = f.opsTasks.slice(1).map(({ id }) => id);
  const RELATE = `mutation { addTaskRelation(input: { taskId: "${one}", type: BLOCKS, relatedTaskId: "${other}" }) { errors { message } } }`;
  expect(dataOf(await app.ask(RELATE, as())).addTaskRelation.errors).toEqual([]);
});
afterAll(() => app?.close());

const as = () => ({ as: f.ada.id });

/** The lists that are not read from the cache now. */
async function dropped(fill: (text: string) => string): Promise<List[]> {
  const names: List[] = [];
  for (const name of ALL) {
    app.reset();
    dataOf(await app.ask(fill(LISTS[name]), as()));
    const looked = app.outcomes.filter(({ name }) => /^(TaskPage|TaskCount|Project\.)/.test(name));
    expect(looked).toHaveLength(1);
    if (looked[0]?.kind !== 'hit') names.push(name);
    await app.settled();
  }
  return names;
}

test.each(WRITES)('%s drops what looks at what it changes, and nothing else', async (_, write, drops) => {
  const parent = f.opsTasks[0] as (typeof f.opsTasks)[number];
  const CREATE = `mutation { createTask(input: { projectId: "${f.ops.id}", title: "Child", parentId: "${parent.id}",
    assigneeId: "${f.ada.id}", status: TODO, labelIds: ["${f.bug.id}"] }) { task { id } } }`;
  const child = dataOf(await app.ask(CREATE, as())).createTask.task.id;
  const values: Record<string, string> = {
    project: f.ops.id,
    user: f.ada.id,
    other: f.bob.id,
    task: parent.id,
    label: f.bug.id,
    child,
  };
  const fill = (text: string) => text.replaceAll(/\$(\w+)/g, (_all, name: string) => values[name] as string);
  await app.settled();
  await dropped(fill);
  expect(await dropped(fill)).toEqual([]);

  const [result] = Object.values(dataOf(await app.ask(fill(write), as())));
  expect(result).toEqual({ errors: [] });
  await app.settled();
  expect(await dropped(fill)).toEqual(ALL.filter((name) => drops.includes(name)));
});
