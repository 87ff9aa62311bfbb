/** `Task.history` and `Project.activity`: what is recorded, of whom, who sees it, and that no process serves less. */
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TaskId, toUuid } from '../../src/db/ids.js';
import { taskHistory } from '../../src/domain/history/history.loaders.js';
import { trimHistory } from '../../src/domain/history/history.trim.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { postgresOutbox } from '../../src/engine/postgres/outbox.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';

const CHANGES = `changes {
  kind
  ... on HistoryDeletion { identifier title }
  ... on HistoryTextChange { fromText toText }
  ... on HistoryStatusChange { fromStatus toStatus }
  ... on HistoryPriorityChange { fromPriority toPriority }
  ... on HistoryDueDateChange { fromDueDate toDueDate }
  ... on HistoryStartDateChange { fromStartDate toStartDate }
  ... on HistoryEstimateChange { fromEstimate toEstimate }
  ... on HistoryAssigneesChange { fromAssignees { handle } toAssignees { handle } }
  ... on HistoryAssigneeChange { fromAssignee { handle } toAssignee { handle } }
  ... on HistoryParentChange { fromParent { id } toParent { id } }
  ... on HistoryProjectChange { fromProject { key } toProject { key } }
  ... on HistoryLabelChange { label { name } labelName previousLabelName }
  ... on HistoryCommentChange { comment { body } }
  ... on HistoryMemberChange { user { handle } fromRole toRole }
}`;
const ENTRY = `actor { handle } task { title } project { key } ${CHANGES}`;
const HISTORY = `query($id: ID!, $first: Int) { task(id: $id) { history(first: $first) { nodes { ${ENTRY} } } } }`;
const ACTIVITY = `query($id: ID!, $first: Int) { project(id: $id) { activity(first: $first) { nodes { ${ENTRY} } } } }`;

let p: TwoProcesses;
let sql: Sql;

beforeAll(async () => {
  const task = 'task { id }';
  p = await twoProcesses({
    createTask: task,
    updateTask: task,
    updateTasks: 'results { errors { message } }',
    moveTask: task,
    deleteTask: 'deletedTaskId',
    restoreTask: task,
    purgeTask: 'purgedTaskId',
    createComment: 'comment { id }',
    updateComment: 'comment { id }',
    deleteComment: 'deletedCommentId',
    createLabel: 'label { id }',
    updateLabel: 'label { id }',
    deleteLabel: 'deletedLabelId',
    updateProject: 'project { id }',
    archiveProject: 'project { id }',
    addMember: 'project { id }',
    updateMember: 'project { id }',
    removeMember: 'removedUserId',
    createProject: 'project { id }',
    deleteProject: 'deletedProjectId',
    restoreProject: 'project { id }',
  });
  sql = postgresClient(p.here.databaseUrl, { max: 1 });
});
afterAll(async () => {
  await sql?.end();
  await p?.close();
});

/** The newest entries of a task, as the other process shows them. */
async function historyOf(id: string, { first = 1, as = p.f.ada.id } = {}) {
  const { task } = await p.read(HISTORY, { id, first }, as);
  return task.history.nodes;
}

async function activityOf(id: string, { first = 1, as = p.f.ada.id } = {}) {
  const { project } = await p.read(ACTIVITY, { id, first }, as);
  return project.activity.nodes;
}

async function created(title: string, more: object = {}): Promise<string> {
  const { task } = await p.mutate('createTask', { projectId: p.f.ops.id, title, ...more });
  return task.id;
}

const ada = { handle: 'ada' };
const bob = { handle: 'bob' };

describe('the history of a task', () => {
  test('begins with its creation, of which its first labels are a part', async () => {
    const id = await created('With labels', { labelIds: [p.f.bug.id] });
    const entry = { actor: ada, task: { title: 'With labels' }, project: { key: 'OPS' } };
    expect(await historyOf(id, { first: 5 })).toEqual([{ ...entry, changes: [{ kind: 'CREATED' }] }]);
  });

  test.each([
    ['title', { title: 'Other' }, [{ kind: 'TITLE', fromText: 'Before', toText: 'Other' }]],
    ['description', { description: 'Words' }, [{ kind: 'DESCRIPTION' }]],
    ['status', { status: 'DONE' }, [{ kind: 'STATUS', fromStatus: 'BACKLOG', toStatus: 'DONE' }]],
    ['priority', { priority: 'HIGH' }, [{ kind: 'PRIORITY', fromPriority: 'NONE', toPriority: 'HIGH' }]],
    ['due date', { dueDate: '2031-02-03' }, [{ kind: 'DUE_DATE', fromDueDate: null, toDueDate: '2031-02-03' }]],
    [
      'start date',
      { startDate: '2031-02-03' },
      [{ kind: 'START_DATE', fromStartDate: null, toStartDate: '2031-02-03' }],
    ],
    ['estimate', { estimate: 0 }, [{ kind: 'ESTIMATE', fromEstimate: null, toEstimate: 0 }]],
    [
      'assignee and title',
      { assigneeHandle: 'bob', title: 'Both' },
      [
        { kind: 'TITLE', fromText: 'Before', toText: 'Both' },
        { kind: 'ASSIGNEE', fromAssignee: null, toAssignee: bob },
      ],
    ],
  ])(
    'records a change of %s with what was before and who made it',
    async (_, { assigneeHandle, ...input }: object & { assigneeHandle?: string }, changes) => {
      const id = await created('Before');
      await historyOf(id); // the other process has it in its cache
      await p.mutate(
        'updateTask',
        { id, ...input, ...(assigneeHandle && { assigneeId: p.f.bob.id }) },
        { as: p.f.bob.id },
      );
      expect(await historyOf(id)).toMatchObject([{ actor: bob, changes }]);
    },
  );

  test('has all assignees where there were or are several, and otherwise the one', async () => {
    const id = await created('Shared', { assigneeId: p.f.ada.id });
    const kinds: [object, object][] = [
      [{ assigneeIds: [p.f.ada.id, p.f.bob.id] }, { fromAssignees: [ada], toAssignees: [ada, bob] }],
      [{ assigneeIds: [p.f.bob.id] }, { fromAssignees: [ada, bob], toAssignees: [bob] }],
      [{ assigneeId: null }, { fromAssignee: bob, toAssignee: null }],
      [{ assigneeIds: [p.f.bob.id, p.f.ada.id] }, { fromAssignees: [], toAssignees: [bob, ada] }],
    ];
    for (const [input, change] of kinds) {
      await p.mutate('updateTask', { id, ...input });
      const kind = 'fromAssignee' in change ? 'ASSIGNEE' : 'ASSIGNEES';
      expect((await historyOf(id))[0].changes).toEqual([{ kind, ...change }]);
    }
  });

  test('has one entry for all that a mutation changes on the task, labels and parent included', async () => {
    const parent = await created('Parent');
    const id = await created('Labelled', { labelIds: [p.f.bug.id] });
    await p.mutate('updateTask', { id, title: 'Relabelled', labelIds: [p.f.docs.id], parentId: parent });
    const [entry, ...before] = await historyOf(id, { first: 5 });
    expect(entry.changes).toEqual([
      { kind: 'LABEL_REMOVED', label: { name: 'bug' }, labelName: 'bug', previousLabelName: null },
      { kind: 'LABEL_ADDED', label: { name: 'docs' }, labelName: 'docs', previousLabelName: null },
      { kind: 'TITLE', fromText: 'Labelled', toText: 'Relabelled' },
      { kind: 'PARENT', fromParent: null, toParent: { id: parent } },
    ]);
    expect(before).toHaveLength(1);
  });

  test('has an entry for each task of one mutation of many', async () => {
    const ids = [await created('One'), await created('Two')];
    await p.mutate('updateTasks', { ids, status: 'TODO' });
    const entries = await Promise.all(ids.map((id) => historyOf(id)));
    expect(entries).toMatchObject(ids.map(() => [{ actor: ada, changes: [{ kind: 'STATUS', toStatus: 'TODO' }] }]));
  });

  test('has comments that were added, edited and deleted, each with its actor', async () => {
    const taskId = await created('Discussed');
    const { comment } = await p.mutate('createComment', { taskId, body: 'First' }, { as: p.f.bob.id });
    expect(await historyOf(taskId)).toMatchObject([
      { actor: bob, changes: [{ kind: 'COMMENT_ADDED', comment: { body: 'First' } }] },
    ]);
    await p.mutate('updateComment', { id: comment.id, body: 'Second' }, { as: p.f.bob.id });
    expect(await historyOf(taskId)).toMatchObject([
      { actor: bob, changes: [{ kind: 'COMMENT_EDITED', comment: { body: 'Second' } }] },
    ]);
    await p.mutate('deleteComment', { id: comment.id });
    expect(await historyOf(taskId)).toMatchObject([
      { actor: ada, changes: [{ kind: 'COMMENT_DELETED', comment: null }] },
    ]);
  });

  test('records what is written around the API, without an actor, and not what has no effect', async () => {
    const id = await created('By psql');
    await sql`update tasks set title = 'By hand' where id = ${toUuid(id as TaskId)}`;
    await sql`update tasks set title = title where id = ${toUuid(id as TaskId)}`;
    await expect
      .poll(() => historyOf(id, { first: 2 }))
      .toMatchObject([
        { actor: null, changes: [{ kind: 'TITLE', fromText: 'By psql', toText: 'By hand' }] },
        { actor: ada, changes: [{ kind: 'CREATED' }] },
      ]);
  });

  test('is paged from the newest entry on, and back, by cursors', async () => {
    const id = await created('0');
    for (const title of ['1', '2', '3']) await p.mutate('updateTask', { id, title });
    const page = async (args: string) => {
      const query = `query($id: ID!) { task(id: $id) { history(${args}) {
        nodes { changes { ... on HistoryTextChange { toText } } } pageInfo { hasNextPage startCursor endCursor } } } }`;
      const { nodes, pageInfo } = (await p.read(query, { id })).task.history;
      return { ...pageInfo, texts: nodes.map((node: { changes: { toText?: string }[] }) => node.changes[0]?.toText) };
    };
    const newest = await page('first: 2');
    expect(newest).toMatchObject({ texts: ['3', '2'], hasNextPage: true });
    const older = await page(`first: 2, after: "${newest.endCursor}"`);
    expect(older).toMatchObject({ texts: ['1', undefined], hasNextPage: false });
    expect(await page(`last: 1, before: "${older.startCursor}"`)).toMatchObject({ texts: ['2'] });
    const { errors } = await p.there.ask(`{ task(id: "${id}") { history(after: "x") { nodes { id } } } }`, {
      as: p.f.ada.id,
    });
    expect(errors?.[0]?.message).toMatch(/^after: expected a cursor/);
  });

  test('follows the task into another project, and hides the old one from those who cannot see it', async () => {
    const id = await created('Moving', { labelIds: [p.f.bug.id] });
    await p.mutate('addMember', { projectId: p.f.web.id, userId: p.f.eve.id, role: 'VIEWER' });
    await p.mutate('moveTask', { id, projectId: p.f.web.id });
    const [moved, unlabelled] = await historyOf(id, { first: 2 });
    expect(moved).toMatchObject({
      project: { key: 'WEB' },
      changes: [{ kind: 'PROJECT', fromProject: { key: 'OPS' } }],
    });
    expect(unlabelled).toMatchObject({
      project: { key: 'OPS' },
      changes: [{ kind: 'LABEL_REMOVED', labelName: 'bug' }],
    });
    expect(await historyOf(id, { first: 2, as: p.f.eve.id })).toMatchObject([
      { changes: [{ kind: 'PROJECT', fromProject: null, toProject: { key: 'WEB' } }] },
      { project: null, changes: [] },
    ]);
    // A member of the old project alone learns that it left, not where it is.
    expect(await activityOf(p.f.ops.id, { first: 2, as: p.f.bob.id })).toMatchObject([
      { task: null, project: null, changes: [{ kind: 'PROJECT', fromProject: { key: 'OPS' }, toProject: null }] },
      { task: null, project: { key: 'OPS' }, changes: [{ kind: 'LABEL_REMOVED', labelName: 'bug' }] },
    ]);
  });
});

test('a change that is reported names who made it, and comments count as changes', async () => {
  const changesSince = async (cursor: string | null) => {
    const query = `query($cursor: String) { taskChangesSince(cursor: $cursor) {
      cursor changes { type changedFields version actor { handle } } } }`;
    return (await p.read(query, { cursor })).taskChangesSince;
  };
  const { cursor } = await changesSince(null);
  const taskId = await created('Reported');
  await p.mutate('createComment', { taskId, body: 'Done?' }, { as: p.f.bob.id });
  await p.mutate('updateTask', { id: taskId, status: 'DONE' });
  await sql`delete from comments where task_id = ${toUuid(taskId as TaskId)}`;
  expect((await changesSince(cursor)).changes).toEqual([
    { type: 'CREATED', changedFields: [], version: 1, actor: ada },
    { type: 'UPDATED', changedFields: ['comments'], version: 1, actor: bob },
    { type: 'UPDATED', changedFields: ['completedAt', 'status'], version: 2, actor: ada },
    { type: 'UPDATED', changedFields: ['comments'], version: 2, actor: null },
  ]);
});

test('what is older than HISTORY_DAYS is deleted by the upkeep, and no longer shown', async () => {
  const id = await created('Old');
  await p.mutate('updateTask', { id, title: 'Young' });
  expect(await historyOf(id, { first: 2 })).toHaveLength(2);
  const kept = 'select max(seq) from history_entries';
  await sql.unsafe(`update history_entries set at = now() - interval '8 days' where seq < (${kept})`);
  const outbox = postgresOutbox(postgresClient(p.here.databaseUrl, { max: 1 }), [], [trimHistory(7)]);
  expect(await outbox.trim()).toBe(false);
  await outbox.close({ timeoutS: 1 });
  expect(await sql`select from history_entries`).toHaveLength(1);
  await expect.poll(() => historyOf(id, { first: 2 })).toMatchObject([{ changes: [{ kind: 'TITLE' }] }]);
});

test('a page in the cache keeps kinds that only a newer build shows', async () => {
  const id = (await created('Of two builds')) as TaskId;
  await sql`
    update history_entries set changes = changes || '[{"kind":"OF_NEWER_BUILD","from":1}]' where task_id = ${toUuid(id)}`;
  const list = { of: id, limit: 1, after: null, before: null, backward: false };
  const [page] = await taskHistory.load([list], p.here.db);
  expect(page?.entries[0]?.changes).toEqual([{ kind: 'CREATED' }, { kind: 'OF_NEWER_BUILD', from: 1 }]);
  expect(await historyOf(id)).toMatchObject([{ changes: [{ kind: 'CREATED' }] }]);
});

describe('the activity of a project', () => {
  test('names a deleted task, and has one entry of the deletion', async () => {
    const id = await created('Short-lived', { labelIds: [p.f.bug.id] });
    await p.mutate('createComment', { taskId: id, body: 'Gone soon' });
    await p.mutate('deleteTask', { id });
    const [deleted, commented] = await activityOf(p.f.ops.id, { first: 2 });
    expect(deleted).toMatchObject({
      actor: ada,
      task: null,
      changes: [{ kind: 'DELETED', title: 'Short-lived', identifier: expect.stringMatching(/^OPS-\d+$/) }],
    });
    expect(commented.changes).toEqual([{ kind: 'COMMENT_ADDED', comment: null }]);
  });

  test('keeps what a task was through the trash, until the task is purged', async () => {
    const id = await created('Comes back', { labelIds: [p.f.bug.id] });
    await p.mutate('createComment', { taskId: id, body: 'Wait' });
    await p.mutate('deleteTask', { id });
    await p.mutate('restoreTask', { id }, { as: p.f.bob.id });
    expect(await historyOf(id, { first: 9 })).toMatchObject([
      { actor: bob, changes: [{ kind: 'RESTORED' }] },
      { actor: ada, changes: [{ kind: 'DELETED', title: 'Comes back' }] },
      { changes: [{ kind: 'COMMENT_ADDED', comment: { body: 'Wait' } }] },
      { changes: [{ kind: 'CREATED' }] },
    ]);
    await p.mutate('deleteTask', { id });
    await p.mutate('purgeTask', { id });
    expect(await sql`select from history_entries where task_id = ${toUuid(id as TaskId)}`).toHaveLength(0);
    expect(await activityOf(p.f.ops.id)).not.toMatchObject([{ changes: [{ kind: 'DELETED', title: 'Comes back' }] }]);
  });

  test('has the changes of its labels, and one entry for a deleted label', async () => {
    const { label } = await p.mutate('createLabel', { projectId: p.f.ops.id, name: 'new' });
    await p.mutate('updateLabel', { id: label.id, name: 'newer' });
    await p.mutate('updateLabel', { id: label.id, color: '#445566' });
    await created('Labelled', { labelIds: [label.id] });
    await p.mutate('deleteLabel', { id: label.id });
    expect(
      (await activityOf(p.f.ops.id, { first: 5 })).map(({ changes }: { changes: unknown }) => changes),
    ).toMatchObject([
      [{ kind: 'LABEL_DELETED', label: null, labelName: 'newer' }],
      [{ kind: 'CREATED' }],
      [{ kind: 'LABEL_EDITED', labelName: 'newer' }],
      [{ kind: 'LABEL_RENAMED', labelName: 'newer', previousLabelName: 'new' }],
      [{ kind: 'LABEL_CREATED', labelName: 'new' }],
    ]);
  });

  test('has its members, its name and its archive', async () => {
    const projectId = p.f.web.id;
    await p.mutate('addMember', { projectId, userId: p.f.bob.id, role: 'VIEWER' });
    await p.mutate('updateMember', { projectId, userId: p.f.bob.id, role: 'MEMBER' });
    await p.mutate('removeMember', { projectId, userId: p.f.bob.id });
    await p.mutate('updateProject', { id: projectId, name: 'Web', description: 'All of it' });
    await p.mutate('archiveProject', { id: projectId, archived: true });
    await p.mutate('archiveProject', { id: projectId, archived: false });
    const entries = await activityOf(projectId, { first: 6 });
    expect(entries.map(({ changes }: { changes: unknown }) => changes)).toEqual([
      [{ kind: 'PROJECT_REOPENED' }],
      [{ kind: 'PROJECT_ARCHIVED' }],
      [{ kind: 'PROJECT_NAME', fromText: 'Website', toText: 'Web' }, { kind: 'PROJECT_DESCRIPTION' }],
      [{ kind: 'MEMBER_REMOVED', user: bob, fromRole: 'MEMBER', toRole: null }],
      [{ kind: 'MEMBER_ROLE', user: bob, fromRole: 'VIEWER', toRole: 'MEMBER' }],
      [{ kind: 'MEMBER_ADDED', user: bob, fromRole: null, toRole: 'VIEWER' }],
    ]);
    expect(entries).toMatchObject(entries.map(() => ({ actor: ada, task: null, project: { key: 'WEB' } })));
  });

  test('shows when the project was deleted and restored, by whom, and no member that came back with it', async () => {
    const { project } = await p.mutate('createProject', { key: 'GONE', name: 'Gone' });
    const first = { first: 9 };
    await activityOf(project.id, first); // the other process has it in its cache
    await p.mutate('deleteProject', { id: project.id, key: 'GONE' });
    await p.mutate('restoreProject', { id: project.id });
    const kinds = ['PROJECT_RESTORED', 'PROJECT_DELETED', 'MEMBER_ADDED', 'PROJECT_CREATED'];
    expect(await activityOf(project.id, first)).toMatchObject(
      kinds.map((kind) => ({ actor: ada, task: null, changes: [{ kind }] })),
    );
    await p.mutate('deleteProject', { id: project.id, key: 'GONE' });
    await sql`delete from projects where id = ${toUuid(project.id)}`;
    expect(await sql`select from history_entries where project_id = ${toUuid(project.id)}`).toHaveLength(0);
  });

  test('is deleted with the project', async () => {
    const { id } = p.f.web;
    const rows = async () => (await sql`select from history_entries where project_id = ${toUuid(id)}`).length;
    expect(await rows()).toBeGreaterThan(0);
    await sql`delete from projects where id = ${toUuid(id)}`;
    expect(await rows()).toBe(0);
  });
});
