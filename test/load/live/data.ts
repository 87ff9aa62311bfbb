/**
 * The data of the part with live queries, the same for each server: teams of twenty with a project of fifty tasks each, and one project
 * with one task that members of all teams read. It is plain JSON, so that a server without a database can hold it, too.
 */
import { type CommentId, newId, type ProjectId, type TaskId, type UserId } from '../../../src/db/ids.js';
import { comments } from '../../../src/domain/comments/comment.table.js';
import { projectMembers, projects, taskNumbers } from '../../../src/domain/projects/project.table.js';
import { type TaskStatus, tasks } from '../../../src/domain/tasks/task.table.js';
import { users } from '../../../src/domain/users/user.table.js';
import type { Transaction } from '../../../src/engine/postgres/executor.js';
import { type LiveOptions, TASKS_PER_TEAM, TEAM_SIZE } from './options.js';

export interface LiveData {
  /** Viewer n is in team n / TEAM_SIZE. */
  readonly users: readonly { id: UserId; handle: string; name: string }[];
  /** One for each team; the last one is the hot task's. */
  readonly projects: readonly { id: ProjectId; key: string; name: string }[];
  readonly members: readonly { projectId: ProjectId; userId: UserId; role: 'OWNER' | 'MEMBER' }[];
  /** Newest first, as the API lists them; those of a team are together; the last one is the hot task. */
  readonly tasks: readonly Task[];
  readonly comments: readonly { id: CommentId; taskId: TaskId; authorId: UserId; body: string; createdAt: string }[];
}

interface Task {
  readonly id: TaskId;
  readonly projectId: ProjectId;
  readonly number: number;
  readonly title: string;
  readonly description: string;
  readonly status: TaskStatus;
  readonly assigneeId: UserId;
  readonly creatorId: UserId;
  readonly createdAt: string;
}

const STATUSES: readonly TaskStatus[] = ['TODO', 'IN_PROGRESS', 'IN_REVIEW'];
const DESCRIPTION = 'What is to be done, in some words. '.repeat(6);
const ROWS_PER_STATEMENT = 1000;

export function liveData({ connections }: LiveOptions): LiveData {
  const users = Array.from({ length: connections }, (_, n) => ({
    id: newId('user'),
    handle: `viewer${n}`,
    name: `Viewer ${n}`,
  }));
  const teams = Array.from({ length: Math.ceil(connections / TEAM_SIZE) }, (_, t) =>
    users.slice(t * TEAM_SIZE, (t + 1) * TEAM_SIZE),
  );
  const project = (key: string) => ({ id: newId('project'), key, name: `Project ${key}` });
  const all = { projects: teams.map((_, t) => project(`T${t}`)), hot: project('HOT') };
  const role = (i: number) => (i === 0 ? ('OWNER' as const) : ('MEMBER' as const));
  const members = teams.flatMap((team, t) =>
    team.map(({ id }, i) => ({ projectId: idAt(all.projects, t), userId: id, role: role(i) })),
  );
  const inHot = users.map(({ id }, i) => ({ projectId: all.hot.id, userId: id, role: role(i) }));
  const teamTasks = teams.flatMap((team, t) => tasksOf(idAt(all.projects, t), team, TASKS_PER_TEAM));
  const tasks = [...teamTasks, ...tasksOf(all.hot.id, users.slice(0, 1), 1)];
  return {
    users,
    projects: [...all.projects, all.hot],
    members: [...members, ...inHot],
    tasks,
    comments: tasks.flatMap(commentsOf),
  };
}

function idAt<T extends { readonly id: string }>(all: readonly T[], i: number): T['id'] {
  return (all[i] as T).id;
}

function tasksOf(projectId: ProjectId, team: LiveData['users'], count: number): Task[] {
  return Array.from({ length: count }, (_, i) => ({
    id: newId('task'),
    projectId,
    number: count - i,
    title: `Task ${count - i}`,
    description: DESCRIPTION,
    status: STATUSES[i % STATUSES.length] as TaskStatus,
    assigneeId: idAt(team, i % team.length),
    creatorId: idAt(team, 0),
    createdAt: new Date(Date.UTC(2026, 0, 1) - i * 60_000).toISOString(),
  }));
}

function commentsOf({ id, assigneeId, createdAt }: Task): LiveData['comments'] {
  return ['Noted.', 'Soon.'].map((body) => ({
    id: newId('comment'),
    taskId: id,
    authorId: assigneeId,
    body,
    createdAt,
  }));
}

export async function insertLiveData(tx: Transaction, data: LiveData): Promise<void> {
  const inPortions = async <Row>(rows: readonly Row[], insert: (portion: Row[]) => Promise<unknown>) => {
    for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) await insert(rows.slice(i, i + ROWS_PER_STATEMENT));
  };
  await inPortions(data.users, (rows) => tx.insert(users).values(rows));
  await inPortions(data.projects, (rows) => tx.insert(projects).values(rows));
  await inPortions(data.members, (rows) => tx.insert(projectMembers).values(rows));
  const numbers = data.projects.map(({ id }) => ({ projectId: id, last: TASKS_PER_TEAM }));
  await inPortions(numbers, (rows) => tx.insert(taskNumbers).values(rows));
  await inPortions(data.tasks, (rows) => tx.insert(tasks).values(rows));
  await inPortions(data.comments, (rows) => tx.insert(comments).values(rows));
}
