/** A small world that tests speak of by name. */

import type { App } from '../../src/app.js';
import { newId, type UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projectMembers, projects, taskNumbers } from '../../src/domain/projects/project.table.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';

export type Fixture = Awaited<ReturnType<typeof fixture>>;

/**
 * OPS, with ada (owner), bob (member), vic (viewer); WEB, with ada alone; eve, a member of nothing. `tasksOfOps` tasks in OPS,
 * assigned to ada and bob in turn, each with two labels and a comment of bob's.
 */
export async function fixture(app: Pick<App, 'transactor'>, tasksOfOps = 6) {
  return (await app.transactor.transact((tx) => writeFixture(tx, tasksOfOps))).value;
}

/** The same, within a transaction. */
export async function writeFixture(tx: Transaction, tasksOfOps = 6) {
  const user = (handle: string) => ({ id: newId('user'), handle, name: handle.toUpperCase() });
  const [ada, bob, vic, eve] = [user('ada'), user('bob'), user('vic'), user('eve')] as const;
  await tx.insert(users).values([ada, bob, vic, eve]);
  const ops = { id: newId('project'), key: 'OPS', name: 'Operations' };
  const web = { id: newId('project'), key: 'WEB', name: 'Website' };
  await tx.insert(projects).values([ops, web]);
  await tx.insert(projectMembers).values([
    { projectId: ops.id, userId: ada.id, role: 'OWNER' },
    { projectId: ops.id, userId: bob.id, role: 'MEMBER' },
    { projectId: ops.id, userId: vic.id, role: 'VIEWER' },
    { projectId: web.id, userId: ada.id, role: 'OWNER' },
  ]);
  await tx.insert(taskNumbers).values([
    { projectId: ops.id, last: tasksOfOps },
    { projectId: web.id, last: 1 },
  ]);
  const label = (name: string) => ({ id: newId('label'), projectId: ops.id, name, color: '#112233' });
  const [bug, docs] = [label('bug'), label('docs')] as const;
  await tx.insert(labels).values([bug, docs]);
  const task = (i: number, assigneeId: UserId) => {
    // Fixed instants, one apart: lists have one order.
    const createdAt = new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString();
    return {
      id: newId('task'),
      projectId: ops.id,
      number: i,
      title: `Task ${i}`,
      assigneeId,
      creatorId: ada.id,
      createdAt,
    };
  };
  const opsTasks = Array.from({ length: tasksOfOps }, (_, i) => task(i + 1, i % 2 === 0 ? ada.id : bob.id));
  const webTask = { ...task(1, ada.id), projectId: web.id, title: 'Web task' };
  await tx.insert(tasks).values([...opsTasks, webTask]);
  await tx
    .insert(taskLabels)
    .values(
      opsTasks.flatMap(({ id: taskId }) =>
        [bug, docs].map(({ id: labelId }) => ({ projectId: ops.id, taskId, labelId })),
      ),
    );
  await tx.insert(comments).values(opsTasks.map(({ id: taskId }) => ({ taskId, authorId: bob.id, body: 'Noted.' })));
  return { ada, bob, vic, eve, ops, web, bug, docs, opsTasks, webTask };
}
