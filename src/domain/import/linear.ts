/** The CSV file that Linear exports. docs/import-and-export.md says which columns are read. */
import type { TaskStatus } from '../tasks/task.table.js';
import { type Columns, columnsOf, type Row, recordsOf } from './csv-table.js';
import { labelsWithin } from './csv-tasks.js';
import { unprotectFormula } from './formulas.js';
import { ImportError } from './import-error.js';
import type { ImportFile, Item } from './items.js';
import { RowFields, type ValueNames } from './task-fields.js';
import { shown } from './values.js';

const ISSUE_ID = /^([A-Z][A-Z0-9]*)-([1-9]\d{0,8})$/i;

export function isLinear(columns: Columns): boolean {
  return ['ID', 'Team', 'Title', 'Status', 'Cycle Number'].every((name) => columns.has(name));
}

/** @throws ImportError BAD_HEADER */
export async function linearFile(path: string, names: ValueNames): Promise<ImportFile> {
  const columns = await columnsOf(path);
  for (const name of ['ID', 'Title', 'Status']) {
    if (!columns.has(name)) throw new ImportError('BAD_HEADER', `line 1: expected the column ${name} of Linear`);
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
  const cell = (name: string) => unprotectFormula(columns.cell(row, name));
  const id = cell('ID');
  const fields = new RowFields(`line ${row.line}${id === '' ? '' : ` (${id.slice(0, 80)})`}`, names);
  const [, team, number] = ISSUE_ID.exec(id) ?? [];
  if (team === undefined) fields.fault('ID', `expected an ID like ENG-42, got ${shown(id)}`);
  const task = taskOf(row, columns, fields);
  if (fields.faults.length > 0) return yield* fields.faults;
  if (team !== undefined) yield { kind: 'project', key: team.toUpperCase(), name: fields.lineOr(cell('Team'), team) };
  yield { kind: 'task', at: fields.at, key: keyOf(id), number: Number(number), ...task };
}

function taskOf(row: Row, columns: Columns, fields: RowFields) {
  const cell = (name: string) => unprotectFormula(columns.cell(row, name));
  const has = (name: string) => columns.has(name);
  const description = () => fields.description('Description', unprotectFormula(columns.text(row, 'Description')));
  const labels = () => labelsWithin(fields, 'Labels', cell('Labels').split(/,\s*/));
  const instant = (name: string) => (cell(name) === '' ? undefined : fields.instant(name, cell(name)));
  const [createdAt, updatedAt, completedAt] = [instant('Created'), instant('Updated'), instant('Completed')];
  const creator = fields.person('Creator', cell('Creator'));
  return {
    title: fields.title('Title', cell('Title')) ?? '',
    status: statusOf(fields, cell),
    ...(has('Description') && { description: description() ?? null }),
    ...(has('Priority') && { priority: fields.priority('Priority', cell('Priority')) ?? ('NONE' as const) }),
    ...(has('Assignee') && { assignee: fields.person('Assignee', cell('Assignee')) ?? null }),
    ...(has('Labels') && { labels: labels() ?? [] }),
    ...(has('Due Date') && { dueDate: fields.day('Due Date', cell('Due Date')) ?? null }),
    ...(has('Parent issue') && { parentKey: cell('Parent issue') === '' ? null : keyOf(cell('Parent issue')) }),
    ...(creator && { creator }),
    ...(createdAt && { createdAt }),
    ...(updatedAt && { updatedAt }),
    ...(completedAt && { completedAt }),
  };
}

function keyOf(id: string): string {
  return `linear:${id}`;
}

/** Teams name their statuses themselves. Linear fills these columns by the kind of the status. */
function statusOf(fields: RowFields, cell: (name: string) => string): TaskStatus {
  const known = fields.knownStatus(cell('Status'));
  if (known !== undefined) return known;
  if (cell('Canceled') !== '') return 'CANCELED';
  if (cell('Completed') !== '') return 'DONE';
  return cell('Started') === '' ? 'TODO' : 'IN_PROGRESS';
}
