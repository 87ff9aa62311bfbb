/** CSV files whose columns are named after the fields of a task, as `tasks export --format csv` writes them. */
import { parse } from 'csv-parse/sync';
import { isId } from '../../db/ids.js';
import { MAX_ASSIGNEES, MAX_LABELS } from '../tasks/task.table.js';
import { MAX_RELATIONS, type StoredRelationType, taskRelationType } from '../tasks/task-relation.table.js';
import { Columns, columnsOf, type Row, recordsOf } from './csv-table.js';
import { unprotectFormula } from './formulas.js';
import { ImportError } from './import-error.js';
import { type ImportFile, type Item, type Person, RELATION_FIELDS, type TaskItem } from './items.js';
import { RowFields, type ValueNames } from './task-fields.js';
import { shown } from './values.js';

/** The columns that are read. */
export const CSV_FIELDS = [
  'id',
  'url',
  'identifier',
  'title',
  'description',
  'status',
  'priority',
  'assignee',
  'assignees',
  'creator',
  'labels',
  'parent',
  'sortOrder',
  'blocks',
  'relatesTo',
  'duplicateOf',
  'dueDate',
  'startDate',
  'estimate',
  'createdAt',
  'updatedAt',
  'completedAt',
] as const;
const MAX_ID_CHARS = 2000;
type CsvField = (typeof CSV_FIELDS)[number];

export interface CsvOptions {
  readonly names: ValueNames;
  /** Names of columns, and the fields that they hold. */
  readonly columns: ReadonlyMap<string, string>;
}

/** @throws ImportError BAD_HEADER */
export async function csvFile(path: string, { names, columns: mapped }: CsvOptions): Promise<ImportFile> {
  const found = await columnsOf(path);
  const columns = new Columns(withFields(found, mapped));
  if (!columns.has('id') && !columns.has('url')) throw badHeader('id or url, which identifies a task', found);
  if (!columns.has('title')) throw badHeader('title', found);
  return {
    async *items() {
      for await (const row of recordsOf(path, columns)) {
        if ('message' in row) yield { kind: 'fault', message: row.message };
        else yield* itemsOf(row, columns, names);
      }
    },
  };
}

function badHeader(expected: string, { names }: Columns): ImportError {
  return new ImportError('BAD_HEADER', `line 1: expected a column ${expected}, got ${shown(names.join(', '))}`);
}

/** The header with the names of fields in place of the mapped columns. @throws ImportError */
function withFields({ names }: Columns, mapped: CsvOptions['columns']): string[] {
  for (const [column, field] of mapped) {
    if (!names.includes(column)) throw new ImportError('BAD_HEADER', `--map: the file has no column ${shown(column)}`);
    if (CSV_FIELDS.some((known) => known === field)) continue;
    throw new ImportError('BAD_HEADER', `--map: expected one of ${CSV_FIELDS.join(', ')}, got ${shown(field)}`);
  }
  return names.map((name) => mapped.get(name) ?? name);
}

function* itemsOf(row: Row, columns: Columns, names: ValueNames): Generator<Item> {
  const cell = (field: CsvField) =>
    unprotectFormula(field === 'description' ? columns.text(row, field) : columns.cell(row, field));
  const id = cell('id') || cell('url');
  const fields = new RowFields(`line ${row.line}${id === '' ? '' : ` (${id.slice(0, 80)})`}`, names);
  if (id === '')
    fields.fault(columns.has('id') ? 'id' : 'url', 'expected a text that identifies the task, got nothing');
  const key = fields.text('id', { kind: 'opaque', minChars: 0, maxChars: MAX_ID_CHARS }, id) ?? '';
  const task = taskOf(fields, cell, columns);
  if (fields.faults.length > 0) yield* fields.faults;
  else yield { kind: 'task', at: fields.at, ...keyOf(key), ...task };
}

/** The key is the id that this API has exported, or a URL. Other ids get a prefix, since Jira's may be equal. */
function keyOf(id: string): Pick<TaskItem, 'key' | 'exportedId'> {
  if (isId('task', id)) return { key: id, exportedId: id };
  return { key: id.includes('://') ? id : `csv:${id}` };
}

/** The key of a task that another one names. */
function otherKey(fields: RowFields, field: CsvField, given: string): string | undefined {
  const id = fields.text(field, { kind: 'opaque', minChars: 0, maxChars: MAX_ID_CHARS }, given);
  return id ? keyOf(id).key : undefined;
}

type TaskFields = Omit<TaskItem, 'kind' | 'at' | 'key' | 'exportedId'>;

function taskOf(fields: RowFields, cell: (field: CsvField) => string, columns: Columns): TaskFields {
  const given = <T>(field: CsvField, read: (text: string) => T | undefined) => {
    const value = columns.has(field) ? read(cell(field)) : undefined;
    return value === undefined ? {} : { [field]: value };
  };
  const instant = (field: CsvField) => given(field, (text) => (text === '' ? undefined : fields.instant(field, text)));
  const number = /^[A-Z][A-Z0-9]*-([1-9]\d{0,8})$/.exec(cell('identifier'))?.[1];
  const creator = given('creator', (text) => fields.person('creator', text) ?? undefined);
  return {
    title: fields.title('title', cell('title')) ?? '',
    ...(number !== undefined && { number: Number(number) }),
    ...(columns.has('parent') && { parentKey: otherKey(fields, 'parent', cell('parent')) ?? null }),
    ...given('sortOrder', (text) => fields.sortOrder('sort order', text)),
    relations: relationsOf(fields, cell, columns),
    ...creator,
    ...given('description', (text) => fields.description('description', text)),
    ...given('status', (text) => (text === '' ? undefined : fields.status('status', text))),
    ...given('priority', (text) => fields.priority('priority', text)),
    ...given('assignee', (text) => fields.person('assignee', text)),
    ...given('assignees', (text) => (text === '' && columns.has('assignee') ? undefined : assigneesOf(fields, text))),
    ...given('labels', (text) => labelsOf(fields, text)),
    ...given('dueDate', (text) => fields.day('due date', text)),
    ...given('startDate', (text) => fields.day('start date', text)),
    ...given('estimate', (text) => fields.estimate('estimate', text)),
    ...instant('createdAt'),
    ...instant('updatedAt'),
    ...instant('completedAt'),
  };
}

function labelsOf(fields: RowFields, text: string): string[] | undefined {
  const names = namesIn(fields, 'labels', text);
  return names && labelsWithin(fields, 'labels', names);
}

function assigneesOf(fields: RowFields, text: string): Person[] | undefined {
  const names = namesIn(fields, 'assignees', text);
  const people = names?.flatMap((name) => fields.person('assignees', name) ?? []);
  if (people === undefined || people.length <= MAX_ASSIGNEES) return people;
  return fields.fault('assignees', `expected at most ${MAX_ASSIGNEES} assignees, got ${people.length}`);
}

function relationsOf(
  fields: RowFields,
  cell: (field: CsvField) => string,
  columns: Columns,
): NonNullable<TaskItem['relations']> {
  const relations: Partial<Record<StoredRelationType, readonly string[]>> = {};
  for (const type of taskRelationType.enumValues) {
    const field = RELATION_FIELDS[type];
    if (!columns.has(field)) continue;
    const text = cell(field);
    const ids = (type === 'DUPLICATE_OF' ? [text] : namesIn(fields, field, text)) ?? [];
    if (ids.length > MAX_RELATIONS) fields.fault(field, `expected at most ${MAX_RELATIONS} tasks, got ${ids.length}`);
    relations[type] = [...new Set(ids.flatMap((id) => otherKey(fields, field, id) ?? []))];
  }
  return relations;
}

/** The cell is itself CSV, so that names may contain commas. Each of its lines counts. */
function namesIn(fields: RowFields, field: CsvField, text: string): string[] | undefined {
  if (text === '') return [];
  try {
    return (parse(text, { trim: true, relax_column_count: true }) as string[][]).flat();
  } catch {
    return fields.fault(field, `expected names with commas between, like bug,"a, b", got ${shown(text)}`);
  }
}

export function labelsWithin(fields: RowFields, field: string, names: readonly string[]): string[] | undefined {
  const labels = fields.labels(field, names);
  if (labels === undefined || labels.length <= MAX_LABELS) return labels;
  return fields.fault(field, `expected at most ${MAX_LABELS} labels, got ${labels.length}`);
}
