/** Changing and deleting comments, and what the viewer is told of that beforehand. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const FIELDS: Record<string, string> = {
  createComment: 'comment { id body viewerCanUpdate viewerCanDelete }',
  updateComment: 'comment { id body createdAt updatedAt }',
  deleteComment: 'deletedCommentId',
  updateMember: 'memberEdge { role }',
  archiveProject: 'project { id }',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

const taskId = () => w.f.opsTasks[0]?.id;
const created = async (as: UserId): Promise<string> =>
  (await w.mutate('createComment', { taskId: taskId(), body: 'Before' }, { as })).comment.id;
const COMMENTS = 'query($id: ID!) { task(id: $id) { commentCount comments(first: 100) { nodes { id body } } } }';
const comments = async () => (await w.read(COMMENTS, { id: taskId() })).task;
const rights = async (id: string, as: UserId) =>
  (await w.read('query($id: ID!) { node(id: $id) { ... on Comment { viewerCanUpdate viewerCanDelete } } }', { id }, as))
    .node;

test('updateComment shows in lists at once', async () => {
  const id = await created(w.f.bob.id);
  expect((await comments()).comments.nodes).toContainEqual({ id, body: 'Before' });
  const { comment, errors } = await w.mutate('updateComment', { id, body: 'After' }, { as: w.f.bob.id });
  expect(errors).toEqual([]);
  expect(comment).toMatchObject({ id, body: 'After' });
  expect((await comments()).comments.nodes).toContainEqual({ id, body: 'After' });
});

test('updateComment that changes nothing invalidates nothing', async () => {
  const id = await created(w.f.bob.id);
  w.here.reset();
  expect((await w.mutate('updateComment', { id, body: 'Before' }, { as: w.f.bob.id })).errors).toEqual([]);
  expect((await w.mutate('updateComment', { id }, { as: w.f.bob.id })).comment.body).toBe('Before');
  expect(w.here.counts.fences).toBe(0);
});

test.each([null, '', '\0'])('updateComment refuses the body %j', async (body) => {
  const id = await created(w.f.bob.id);
  expectRefusal(await w.mutate('updateComment', { id, body }, { as: w.f.bob.id }), 'ValidationError', 'body');
});

test('deleteComment shows in lists and counts at once', async () => {
  const id = await created(w.f.bob.id);
  const before = await comments();
  const gone = await w.mutate('deleteComment', { id }, { as: w.f.bob.id });
  expect(gone).toEqual({ deletedCommentId: id, errors: [] });
  const after = await comments();
  expect(after.commentCount).toBe(before.commentCount - 1);
  expect(after.comments.nodes).not.toContainEqual({ id, body: 'Before' });
  expectRefusal(await w.mutate('deleteComment', { id }, { as: w.f.bob.id }), 'NotFoundError', 'id');
});

test('its author may change and delete a comment, an OWNER delete it, others neither; and are told so', async () => {
  const { ada, bob, vic, eve, ops } = w.f;
  const [ofBob, ofAda] = [await created(bob.id), await created(ada.id)];
  expect(await rights(ofBob, bob.id)).toEqual({ viewerCanUpdate: true, viewerCanDelete: true });
  expect(await rights(ofBob, ada.id)).toEqual({ viewerCanUpdate: false, viewerCanDelete: true });
  expect(await rights(ofBob, vic.id)).toEqual({ viewerCanUpdate: false, viewerCanDelete: false });
  expect(await rights(ofAda, bob.id)).toEqual({ viewerCanUpdate: false, viewerCanDelete: false });

  for (const [name, input] of [
    ['updateComment', { id: ofBob, body: 'Not mine' }],
    ['deleteComment', { id: ofBob }],
  ] as const) {
    expectRefusal(await w.mutate(name, input, { as: eve.id }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, input, { as: vic.id }), 'PermissionError', 'id');
    expectRefusal(await w.mutate(name, { ...input, id: ofAda }, { as: bob.id }), 'PermissionError', 'id');
    expectRefusal(await w.mutate(name, { ...input, id: newId('comment') }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, { ...input, id: 'one' }), 'ValidationError', 'id');
  }
  expectRefusal(await w.mutate('updateComment', { id: ofBob, body: 'An owner' }), 'PermissionError', 'id');
  expect((await w.mutate('deleteComment', { id: ofBob })).errors).toEqual([]);

  // An author who may only look now.
  const late = await created(bob.id);
  await w.mutate('updateMember', { projectId: ops.id, userId: bob.id, role: 'VIEWER' });
  expect(await rights(late, bob.id)).toEqual({ viewerCanUpdate: false, viewerCanDelete: false });
  expectRefusal(await w.mutate('updateComment', { id: late, body: 'x' }, { as: bob.id }), 'PermissionError', 'id');
  await w.mutate('updateMember', { projectId: ops.id, userId: bob.id, role: 'MEMBER' });

  await w.mutate('archiveProject', { id: ops.id });
  expect(await rights(late, bob.id)).toEqual({ viewerCanUpdate: false, viewerCanDelete: false });
  expectRefusal(await w.mutate('deleteComment', { id: late }, { as: bob.id }), 'PermissionError', 'id');
  await w.mutate('archiveProject', { id: ops.id, archived: false });
  expect(await rights(late, bob.id)).toEqual({ viewerCanUpdate: true, viewerCanDelete: true });
});

test('createComment is refused to strangers and VIEWERs', async () => {
  const input = { taskId: taskId(), body: 'No' };
  expectRefusal(await w.mutate('createComment', input, { as: w.f.eve.id }), 'NotFoundError', 'taskId');
  expectRefusal(await w.mutate('createComment', input, { as: w.f.vic.id }), 'PermissionError', 'taskId');
  expectRefusal(await w.mutate('createComment', { ...input, taskId: newId('task') }), 'NotFoundError', 'taskId');
});
