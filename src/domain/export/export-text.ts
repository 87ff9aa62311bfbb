/** An export as text, made while it is read: JSON Lines with everything that an import reads, or CSV with the tasks. */
import { stringify } from 'csv-stringify/sync';
import { fromUuidOnce } from '../../db/ids.js';
import { protectFormula } from '../import/formulas.js';
import type { ExportedComment, ExportedTask, ExportSnapshot } from './export.repository.js';

export const EXPORT_FORMATS = ['jsonl', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportTextOptions {
  readonly format: ExportFormat;
  /** For CSV: whether cells that a spreadsheet would execute get an apostrophe before them. Default: yes. */
  readonly protectFormulas?: boolean;
}

const CSV_COLUMNS = [
  ...['id', 'identifier', 'title', 'description', 'status', 'priority', 'assignee', 'assignees', 'creator', 'labels'],
  ...['parent', 'sortOrder', 'blocks', 'relatesTo', 'duplicateOf', 'dueDate', 'startDate', 'estimate'],
  ...['createdAt', 'updatedAt', 'completedAt'],
];
/** RFC 4180. Cells with another program's separators or line breaks are quoted, too. */
const CSV_RULES = { record_delimiter: '\r\n', quoted_match: /[\r\n;\t]/ } as const;

/** The text in pieces of a batch. */
export function exportText(
  snapshot: ExportSnapshot,
  { format, protectFormulas = true }: ExportTextOptions,
): AsyncGenerator<string> {
  return format === 'jsonl' ? jsonl(snapshot) : csv(snapshot, protectFormulas ? protectFormula : (text) => text);
}

async function* jsonl(snapshot: ExportSnapshot): AsyncGenerator<string> {
  const { key, name, description } = snapshot.project;
  yield lines([{ type: 'project', key, name, description }]);
  for await (const users of snapshot.users()) yield lines(users.map((user) => ({ type: 'user', ...user })));
  for await (const labels of snapshot.labels()) yield lines(labels.map((label) => ({ type: 'label', ...label })));
  for await (const tasks of snapshot.tasks()) yield* tasksWithComments(snapshot, tasks);
}

/** Each task with its comments behind it. */
async function* tasksWithComments(snapshot: ExportSnapshot, tasks: readonly ExportedTask[]): AsyncGenerator<string> {
  const { key } = snapshot.project;
  let written = 0;
  for await (const comments of snapshot.comments(tasks.map(({ id }) => id))) {
    const batch: object[] = [];
    for (const comment of comments) {
      while (tasks[written - 1]?.id !== comment.task) {
        const task = tasks[written++];
        if (task === undefined) throw new TypeError(`expected the task ${comment.task} of a comment in its batch`);
        batch.push(taskLine(task, key));
      }
      batch.push(commentLine(comment));
    }
    yield lines(batch);
  }
  yield lines(tasks.slice(written).map((task) => taskLine(task, key)));
}

function taskLine({ id, number, ...task }: ExportedTask, key: string) {
  return { type: 'task', id: fromUuidOnce('task', id), identifier: `${key}-${number}`, ...task, ...otherTasks(task) };
}

/** The ids of the tasks to which a task refers. */
function otherTasks(task: Pick<ExportedTask, 'parent' | 'blocks' | 'relatesTo' | 'duplicateOf'>) {
  const idOf = (uuid: string) => fromUuidOnce('task', uuid);
  return {
    parent: task.parent && idOf(task.parent),
    blocks: task.blocks.map(idOf),
    relatesTo: task.relatesTo.map(idOf),
    duplicateOf: task.duplicateOf && idOf(task.duplicateOf),
  };
}

function commentLine({ id, task, ...comment }: ExportedComment) {
  return { type: 'comment', id: fromUuidOnce('comment', id), task: fromUuidOnce('task', task), ...comment };
}

function lines(objects: readonly object[]): string {
  return objects.map((object) => `${JSON.stringify(object)}\n`).join('');
}

async function* csv(snapshot: ExportSnapshot, protect: (text: string) => string): AsyncGenerator<string> {
  yield stringify([CSV_COLUMNS], CSV_RULES);
  for await (const tasks of snapshot.tasks()) {
    const rows = tasks.map((task) => cellsOf(task, snapshot.project.key).map((cell) => protect(cell ?? '')));
    yield stringify(rows, CSV_RULES);
  }
}

function cellsOf(task: ExportedTask, key: string): (string | null)[] {
  const { parent, blocks, relatesTo, duplicateOf } = otherTasks(task);
  return [
    fromUuidOnce('task', task.id),
    `${key}-${task.number}`,
    ...[task.title, task.description, task.status, task.priority, task.assignee, namesText(task.assignees)],
    ...[task.creator, namesText(task.labels)],
    ...[parent, task.sortOrder, namesText(blocks), namesText(relatesTo), duplicateOf],
    ...[task.dueDate, task.startDate, task.estimate === null ? null : String(task.estimate)],
    ...[task.createdAt, task.updatedAt, task.completedAt],
  ];
}

function namesText(names: readonly string[]): string {
  return names.length === 0 ? '' : stringify([[...names]], { eof: false });
}
