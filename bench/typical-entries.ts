/** Entries and tags like those that the server keeps in Redis for the data of the benchmark: same names, same lengths. */
import type { Key, Tag } from '../src/engine/cache/index.js';
import { projectId, projectOfTask, taskId } from './dataset.js';

const uuid = (kind: number, n: number) => `00000000-0000-7000-800${kind}-${String(n).padStart(12, '0')}`;
const TOKEN_CHARS = 16;
const PURGE = 'GG4Kkj8QLvi-.yOK8zWaRsk_WAp49';
/** The share of writes that change a text. */
const WRITES_OF_TEXTS = 0.5;

/** A task with its labels: the entry that is stored most often. */
export function entryOfTask(task: number): { key: Key; text: string } {
  const id = taskId(task);
  const value = {
    id,
    projectId: projectId(projectOfTask(task)),
    number: task % 20,
    title: `Task ${task} kettle`,
    description: 'Words about 0123456789abcdef0123456789abcdef',
    status: 'IN_PROGRESS',
    priority: 'NONE',
    assigneeId: 'user_0000000000e00800000000002m',
    creatorId: 'user_0000000000e00800000000002n',
    parentId: null,
    dueDate: '2026-12-05',
    version: 2,
    sourceUrl: null,
    createdAt: '2026-01-01T00:29:58.000Z',
    updatedAt: '2026-01-01T00:29:58.000Z',
    completedAt: null,
    labelIds: ['label_0000000000e00800g000000129', 'label_0000000000e00800g00000012g'],
  };
  const stamps = `${PURGE}|${taskTags(task)
    .map(() => 'x'.repeat(TOKEN_CHARS))
    .join(',')}|`;
  return {
    key: `Task:XfVsAVMx.labels::"${id}"` as Key,
    text: `${stamps}1795949184544|42443986|j|${JSON.stringify(value)}`,
  };
}

/** The tags of the entry of a task with its labels. */
export function taskTags(task: number): Tag[] {
  return [`tasks:id=${uuid(3, task)}`, 'tasks', 'task_labels'] as Tag[];
}

/** As the benchmark's writes touch them: half change a text, a quarter the status, a quarter the assignee. */
export function tagsOfWrite(n: number): Tag[] {
  const task = 1 + ((n * 7919) % 2000);
  const project = uuid(1, projectOfTask(task));
  const own = [`tasks:project_id/any=${project}`, `tasks:id=${uuid(3, task)}`];
  const kind = (n % 4) / 4;
  if (kind < WRITES_OF_TEXTS) return own as Tag[];
  const shared = [
    `tasks:assignee_id=${uuid(0, task)}`,
    `tasks:project_id=${project}`,
    `tasks:creator_id=${uuid(0, 1)}`,
  ];
  if (kind < 0.75) return [...own, ...shared, `tasks:project_id/status=${project}`] as Tag[];
  return [...own, ...shared, `tasks:project_id/assignee=${project}`, `tasks:assignee_id=${uuid(0, task + 1)}`] as Tag[];
}
