/**
 * The CSV file that Jira exports, with all fields or the current ones. Columns repeat: one for each label and comment of
 * the issue that has most. docs/import-and-export.md says which columns are read.
 */
import { TEXTS } from '../../std/text.js';
import type { TaskStatus } from '../tasks/task.table.js';
import { type Columns, columnsOf, type Row, recordsOf } from './csv-table.js';
import { labelsWithin } from './csv-tasks.js';
import { ImportError } from './import-error.js';
import type { ImportFile, Item } from './items.js';
import { RowFields, type ValueNames } from './task-fields.js';
import { shown } from './values.js';

const ISSUE_KEY = /^([A-Z][A-Z0-9_]*)-([1-9]\d{0,8})$/;
/** Columns with the names of people, and those with the ids of their accounts. */
const PEOPLE = [
  ['Assignee', 'Assignee Id'],
  ['Reporter', 'Reporter Id'],
  ['Creator', 'Creator Id'],
] as const;
/** Statuses of the categories that Jira sorts statuses into. */
const CATEGORIES: ReadonlyMap<string, TaskStatus> = new Map([
  ['To Do', 'TODO'],
  ['New', 'TODO'],
  ['In Progress', 'IN_PROGRESS'],
  ['Done', 'DONE'],
  ['Complete', 'DONE'],
]);
/** Resolutions of issues that were closed without being done. */
const NOT_DONE: ReadonlySet<string> = new Set([
  ...["Won't Do", "Won't Fix", 'Duplicate', 'Cannot Reproduce', 'Declined', 'Incomplete', 'Invalid', 'Known Error'],
]);

export function isJira(columns: Columns): boolean {
  return columns.has('Issue key') && columns.has('Summary');
}

/** @throws ImportError BAD_HEADER */
export async function jiraFile(path: string, names: ValueNames): Promise<ImportFile> {
  const columns = await columnsOf(path);
  for (const name of ['Issue key', 'Summary', 'Status']) {
    if (!columns.has(name)) throw new ImportError('BAD_HEADER', `line 1: expected the column ${name} of Jira`);
  }
  return {
    async *items() {
      for await (const row of recordsOf(path, columns)) {
        if ('message' in row) yield { kind: 'fault', message: row.message };
        else yield* itemsOf(row, columns, names);
      }
    },
  };
}

function* itemsOf(row: Row, columns: Columns, names: ValueNames): Generator<Item> {
  const cell = (name: string) => columns.cell(row, name);
  const issueKey = cell('Issue key');
  const fields = new RowFields(`line ${row.line}${issueKey === '' ? '' : ` (${issueKey.slice(0, 80)})`}`, names);
  const [, project, number] = ISSUE_KEY.exec(issueKey) ?? [];
  if (project === undefined) fields.fault('Issue key', `expected a key like PAY-42, got ${shown(issueKey)}`);
  const task = taskOf(row, columns, fields);
  const comments = [...commentsOf(row, columns, { fields, editedAt: task.updatedAt })];
  if (fields.faults.length > 0) return yield* fields.faults;
  if (project !== undefined)
    yield { kind: 'project', key: project, name: fields.lineOr(cell('Project name'), project) };
  for (const [name, idName] of PEOPLE) {
    const person = fields.person(name, cell(name));
    if (person && cell(idName) !== '') yield { kind: 'account', id: cell(idName), person };
  }
  yield { kind: 'task', at: fields.at, key: keyOf(issueKey), number: Number(number), ...task };
  yield* comments;
}

function taskOf(row: Row, columns: Columns, fields: RowFields) {
  const cell = (name: string) => columns.cell(row, name);
  const has = (name: string) => columns.has(name);
  const instant = (name: string) => (cell(name) === '' ? undefined : fields.instant(name, cell(name)));
  const [createdAt, updatedAt, completedAt] = [instant('Created'), instant('Updated'), instant('Resolved')];
  const creator = fields.person('Reporter', cell('Reporter') || cell('Creator'));
  const issueId = cell('Issue id');
  return {
    title: fields.title('Summary', cell('Summary')) ?? '',
    status: statusOf(fields, cell),
    ...(issueId !== '' && { alias: aliasOf(issueId) }),
    ...(has('Description') && {
      description: fields.description('Description', columns.text(row, 'Description')) ?? null,
    }),
    ...(has('Priority') && { priority: fields.priority('Priority', cell('Priority')) ?? ('NONE' as const) }),
    ...(has('Assignee') && { assignee: fields.person('Assignee', cell('Assignee')) ?? null }),
    ...(has('Labels') && { labels: labelsWithin(fields, 'Labels', columns.cells(row, 'Labels')) ?? [] }),
    ...(has('Due date') && { dueDate: fields.day('Due date', cell('Due date')) ?? null }),
    ...parentOf(cell, has),
    ...(creator && { creator }),
    ...(createdAt && { createdAt }),
    ...(updatedAt && { updatedAt }),
    ...(completedAt && { completedAt }),
  };
}

function keyOf(issueKey: string): string {
  return `jira:${issueKey}`;
}

/** `Parent` and `Parent id` hold the number of an issue, not its key. */
function aliasOf(issueId: string): string {
  return `jira-id:${issueId}`;
}

function parentOf(cell: (name: string) => string, has: (name: string) => boolean): { parentKey?: string | null } {
  const given = cell('Parent key') || cell('Parent') || cell('Parent id');
  if (given !== '') return { parentKey: /^\d+$/.test(given) ? aliasOf(given) : keyOf(given) };
  return has('Parent key') || has('Parent') || has('Parent id') ? { parentKey: null } : {};
}

/** Projects name their statuses themselves: where the word says nothing, the category decides. */
function statusOf(fields: RowFields, cell: (name: string) => string): TaskStatus {
  const known = fields.knownStatus(cell('Status')) ?? CATEGORIES.get(cell('Status Category'));
  const status = known ?? (cell('Resolved') === '' ? fields.status('Status', cell('Status')) : 'DONE');
  return status === 'DONE' && NOT_DONE.has(cell('Resolution')) ? 'CANCELED' : (status ?? 'TODO');
}

/** `30/Nov/26 5:05 PM;account;text`. Numbered among those with the same author and time. */
function* commentsOf(
  row: Row,
  columns: Columns,
  { fields, editedAt }: { readonly fields: RowFields; readonly editedAt: string | undefined },
): Generator<Item> {
  const seen = new Map<string, number>();
  const taskKey = keyOf(columns.cell(row, 'Issue key'));
  for (const given of columns.cells(row, 'Comment')) {
    const [, time = '', account = '', text = ''] = /^([^;]*);([^;]*);([\s\S]*)$/.exec(given) ?? [];
    if (time === '' || account === '') {
      fields.fault('Comment', `expected a time, an account and a text with ; between, got ${shown(given)}`);
      continue;
    }
    const createdAt = fields.instant('Comment', time) ?? '';
    const body = fields.text('Comment', { ...TEXTS.commentBody, minChars: 0 }, text) ?? '';
    const nth = (seen.get(`${account} ${createdAt}`) ?? 0) + 1;
    seen.set(`${account} ${createdAt}`, nth);
    if (body === '') yield { kind: 'leftOut', what: 'comments' };
    else {
      const times = { createdAt, updatedAt: createdAt, editedAt: editedAt ?? createdAt };
      const author = { account };
      yield { kind: 'comment', taskKey, sourceKey: `${account} ${createdAt} ${nth}`, author, body, ...times };
    }
  }
}
