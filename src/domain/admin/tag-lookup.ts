/** Finds out what a text names that an operator typed: a row, by its identifier or id, or a tag. */
import { getTableColumns, sql } from 'drizzle-orm';
import { fromUuid, type Id, idPrefix, toUuid } from '../../db/ids.js';
import { rowSetTag, type Tag, tableOf, tableTag } from '../../engine/cache/index.js';
import type { Database, TableRowSets } from '../../engine/postgres/index.js';
import { columnType, readTag } from './tag-text.js';

/** `OPS-42` */
const IDENTIFIER = /^([A-Za-z][A-Za-z0-9_]*)-(\d{1,9})$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export type NamedTags =
  | { readonly kind: 'tag'; readonly table: string; readonly tags: readonly Tag[] }
  | {
      readonly kind: 'row';
      readonly table: string;
      readonly found: boolean;
      readonly id: Id | null;
      readonly tags: readonly Tag[];
    };

/** A table whose rows have ids. */
interface RowTable {
  readonly table: TableRowSets;
  readonly prefix: string;
}

/** The columns of a row that its tags name, as Postgres writes them. */
type RowTexts = Readonly<Record<string, string | null>>;

export class TagLookup {
  readonly #db: Pick<Database, 'read'>;
  readonly #tables: readonly TableRowSets[];

  constructor(db: Pick<Database, 'read'>, tables: readonly TableRowSets[]) {
    this.#db = db;
    this.#tables = tables;
  }

  /** @returns what it names, or with `expected` what the text should be */
  async find(given: string): Promise<NamedTags | { readonly expected: string }> {
    const text = given.trim();
    const [, key, number] = IDENTIFIER.exec(text) ?? [];
    if (key !== undefined && number !== undefined) return this.#byIdentifier(key.toUpperCase(), Number(number));
    if (UUID.test(text)) return this.#byUuid(text.toLowerCase());
    const prefix = idPrefix(text);
    if (prefix !== undefined) {
      const of = this.#rowTables().find((one) => one.prefix === prefix);
      return of === undefined
        ? { expected: `an id of a cached table, not of ${prefix}` }
        : this.#row(of, toUuid(text as Id));
    }
    const read = readTag(text, this.#tables);
    if ('tag' in read) return { kind: 'tag', table: tableOf(read.tag), tags: [read.tag] };
    return { expected: `a task such as OPS-42, an id, a UUID, or ${read.expected}` };
  }

  async #byIdentifier(key: string, number: number): Promise<NamedTags | { readonly expected: string }> {
    const [row] = await this.#db.read.execute<{ project: string; task: string | null }>(sql`
      select projects.id::text as project, tasks.id::text as task
      from projects left join tasks on tasks.project_id = projects.id and tasks.number = ${number}
      where projects.key = ${key}`);
    if (row === undefined) return { expected: `the key of a project, such as OPS in OPS-42, not ${key}` };
    const of = this.#rowTables().find(({ prefix }) => prefix === 'task') as RowTable;
    if (row.task !== null) return this.#row(of, row.task);
    const { table } = of.table;
    const byNumber = rowSetTag(table, ['project_id', 'number'], [row.project, String(number)]);
    return { kind: 'row', table, found: false, id: null, tags: [byNumber, tableTag(table)] };
  }

  async #byUuid(uuid: string): Promise<NamedTags | { readonly expected: string }> {
    for (const of of this.#rowTables()) {
      const named = await this.#row(of, uuid);
      if (named.found) return named;
    }
    return {
      expected: `the UUID of a row of ${this.#rowTables()
        .map(({ table }) => table.table)
        .join(', ')}`,
    };
  }

  async #row({ table, prefix }: RowTable, uuid: string) {
    const columns = [...new Set(['id', ...table.specs.flatMap((spec) => spec.columns)])];
    const texts = columns.map((column) => sql`${sql.identifier(column)}::text as ${sql.identifier(column)}`);
    const [row] = await this.#db.read.execute<RowTexts>(sql`
      select ${sql.join(texts, sql`, `)} from ${sql.identifier(table.table)} where id = ${uuid}::uuid`);
    const tags = tagsOfRow(table, row ?? { id: uuid });
    return { kind: 'row' as const, table: table.table, found: row !== undefined, id: fromUuid(prefix, uuid), tags };
  }

  #rowTables(): RowTable[] {
    return this.#tables.flatMap((table) => {
      const hasId = Object.values(getTableColumns(table.definition)).some(({ name }) => name === 'id');
      const type = hasId ? columnType(table.definition, 'id') : undefined;
      return type?.kind === 'id' ? [{ table, prefix: type.prefix }] : [];
    });
  }
}

/** The tags that a change of any column of the row may touch. Rows that hold NULL in a column have no tag for it. */
function tagsOfRow({ table, specs }: TableRowSets, row: RowTexts): Tag[] {
  const tags = specs.flatMap(({ columns, elements, of, aspect }) => {
    const values = columns.map((column) => row[column]);
    if (values.some((value) => typeof value !== 'string')) return [];
    const rows = elements ? elementsOf(values[0] as string).map((value) => [value]) : [values as string[]];
    return rows.map((texts) => rowSetTag(of?.table ?? table, (of ?? { columns }).columns, texts, aspect));
  });
  return [...new Set([...tags, tableTag(table)])];
}

/** The elements of an array of UUIDs in the text of Postgres. */
function elementsOf(text: string): string[] {
  return text.slice(1, -1).split(',').filter(Boolean);
}
