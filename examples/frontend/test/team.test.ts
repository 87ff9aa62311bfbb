/** The operations of src/team.ts, as a team uses them: each answer shows what the mutation before it has changed. */
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { expect, test } from 'vitest';
import { DeleteTask } from '../src/operations.js';
import {
  AddTaskRelation,
  CreateTasks,
  CreateWebhook,
  ExportProject,
  FoundTasks,
  InviteMember,
  MoveTaskInList,
  OrderedTasks,
  People,
  ProjectAdministration,
  RestoreTask,
  TaskPage,
  UpdateTasks,
} from '../src/team.js';
import { ask } from './ask.js';
import { newestFirst, taskOf, world } from './support.js';

const w = world();

const asAda = <Data, Variables extends object>(document: TypedDocumentNode<Data, Variables>, variables: Variables) =>
  ask<Data>(w.ada, print(document), variables);
const titlesInOrder = async () =>
  (await asAda(OrderedTasks, { project: w.project.id })).tasks.nodes.map((task) => (task as { title?: string }).title);

test('a task that is moved has its new place in the next list', async () => {
  const oldestFirst = [...newestFirst].reverse();
  expect(await titlesInOrder()).toEqual(oldestFirst);
  const { moveTaskInList } = await asAda(MoveTaskInList, { input: { id: taskOf(w, 7).id, before: taskOf(w, 1).id } });
  expect(moveTaskInList.errors).toEqual([]);
  expect(await titlesInOrder()).toEqual(['Task 7', ...oldestFirst.slice(0, -1)]);
});

test('a relation blocks the other task, and is in the history of both', async () => {
  const [one, two] = [taskOf(w, 1), taskOf(w, 2)];
  const input = { taskId: one.id, relatedTaskId: two.id, type: 'BLOCKS' } as const;
  const { addTaskRelation } = await asAda(AddTaskRelation, { input });
  expect(addTaskRelation).toMatchObject({ task: { isBlocked: false }, relatedTask: { isBlocked: true }, errors: [] });
  const { node } = await asAda(TaskPage, { id: two.id });
  expect(node).toMatchObject({
    isBlocked: true,
    blockedBy: { nodes: [{ id: one.id }] },
    history: { nodes: expect.arrayContaining([expect.objectContaining({ changes: [RELATED] })]) },
  });
});

const RELATED = expect.objectContaining({ __typename: 'HistoryRelationChange' });

test('many tasks are created and changed at once, and found by their beginnings of words', async () => {
  const tasks = ['Capacity of the harbour', 'Capacity of the depot'].map((title) => ({
    projectId: w.project.id,
    title,
  }));
  const { createTasks } = await asAda(CreateTasks, { input: { tasks } });
  const ids = createTasks.results.map(({ task }) => task?.id as string);
  const { updateTasks } = await asAda(UpdateTasks, { input: { ids, estimate: 3 } });
  expect(updateTasks.results.map(({ task }) => task?.estimate)).toEqual([3, 3]);
  const found = await asAda(FoundTasks, { project: w.project.id, search: 'capac' });
  expect(new Set(found.tasks.nodes.map(({ id }) => id))).toEqual(new Set(ids));
});

test('a deleted task is in the trash until it is restored', async () => {
  const { id } = taskOf(w, 3);
  const trash = async () => {
    const { project } = await asAda(ProjectAdministration, { project: w.project.id });
    return project?.trash?.nodes.map((task) => task.id);
  };
  await asAda(DeleteTask, { input: { id } });
  expect(await trash()).toEqual([id]);
  expect((await asAda(RestoreTask, { input: { id } })).restoreTask.errors).toEqual([]);
  expect(await trash()).toEqual([]);
});

test('invitations, webhooks and exports show their secrets once', async () => {
  const projectId = w.project.id;
  const { inviteMember } = await asAda(InviteMember, {
    input: { projectId, email: 'eve@example.com', role: 'VIEWER' },
  });
  const { createWebhook } = await asAda(CreateWebhook, { input: { projectId, url: 'https://example.com/tasks' } });
  const { exportProject } = await asAda(ExportProject, { input: { projectId, format: 'JSONL' } });
  const secrets = [inviteMember.token, createWebhook.secret, exportProject.url];
  expect(secrets).toEqual([expect.any(String), expect.any(String), expect.any(String)]);
  const { project } = await asAda(ProjectAdministration, { project: projectId });
  expect(project).toMatchObject({
    invitations: { nodes: [{ email: 'eve@example.com' }] },
    webhooks: { nodes: [{ url: 'https://example.com/tasks', enabled: true }] },
  });
  const file = await (await fetch(new URL(exportProject.url as string, w.ada.url))).text();
  expect(JSON.parse(file.slice(0, file.indexOf('\n')))).toMatchObject({ type: 'project', key: w.project.key });
});

test('people are found by their names', async () => {
  const { viewer, users } = await asAda(People, { search: w.assignee.name });
  expect(users.nodes.map(({ id }) => id)).toContain(viewer?.id);
});
