/** A CSV file (RFC 4180) as rows with the names of its columns. The separator is detected. */
import { pipeline, Readable } from 'node:stream';
import { type CsvError, type Info, parse } from 'csv-parse';
import { ImportError } from './import-error.js';
import { textOf } from './text-file.js';
import { plain } from './values.js';

const SEPARATORS = [',', ';', '\t'] as const;
/** Characters of one record: a task of Jira has all its comments in one. */
const MAX_RECORD_CHARS = 16 * 1024 * 1024;
const MAX_COLUMNS = 5000;

export interface Row {
  /** The line on which the row begins. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** The names of columns. Spelling is compared without case, spaces and punctuation: `Due date` is `due_date`. */
export class Columns {
  readonly #indexes = new Map<string, number[]>();

  constructor(readonly names: readonly string[]) {
    for (const [index, name] of names.entries()) {
      const same = this.#indexes.get(plain(name));
      if (same === undefined) this.#indexes.set(plain(name), [index]);
      else same.push(index);
    }
  }

  has(name: string): boolean {
    return this.#indexes.has(plain(name));
  }

  /** The text of the first column of this name that has one, without the white space around it. */
  cell({ cells }: Row, name: string): string {
    return this.cells({ cells }, name)[0] ?? '';
  }

  /** The text of the first column of this name, as it is. */
  text({ cells }: Row, name: string): string {
    const [index = -1] = this.#indexes.get(plain(name)) ?? [];
    return cells[index] ?? '';
  }

  /** The texts of all columns of this name. */
  cells({ cells }: Pick<Row, 'cells'>, name: string): string[] {
    return (this.#indexes.get(plain(name)) ?? []).flatMap((index) => {
      const text = (cells[index] ?? '').trim();
      return text === '' ? [] : [text];
    });
  }
}

/** @throws ImportError BAD_HEADER */
export async function columnsOf(path: string): Promise<Columns> {
  for await (const row of rowsOf(path)) {
    if ('message' in row) throw new ImportError('BAD_HEADER', row.message);
    if (row.cells.length <= MAX_COLUMNS) return new Columns(row.cells);
    const message = `the header: expected at most ${MAX_COLUMNS} columns, got ${row.cells.length}`;
    throw new ImportError('BAD_HEADER', message);
  }
  throw new ImportError('BAD_HEADER', 'the file: expected a header with the names of columns, got nothing');
}

/** The rows behind the header; in place of a row that cannot be read, the fault. */
export async function* recordsOf(path: string, { names }: Columns): AsyncGenerator<Row | { readonly message: string }> {
  let isHeader = true;
  for await (const row of rowsOf(path)) {
    if (isHeader) isHeader = false;
    else if ('cells' in row && row.cells.length > names.length) {
      // Fewer are allowed: some exports leave out empty ones at the end.
      yield { message: `line ${row.line}: expected at most ${names.length} fields, got ${row.cells.length}` };
    } else yield row;
  }
}

/** Ends with a fault where quotes are wrong: where the next record begins is unknown. */
async function* rowsOf(path: string): AsyncGenerator<Row | { readonly message: string }> {
  let failure: CsvError | undefined;
  const parser = parse({
    delimiter: await separatorOf(path),
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_RECORD_CHARS,
    // The parser is ahead of this loop. An error that it threw would discard the rows before it.
    skip_records_with_error: true,
    on_skip: (error) => {
      failure ??= error;
    },
  });
  pipeline(Readable.from(textOf(path)), parser, () => {}); // the parser is destroyed with the error
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    if (failure !== undefined && info.records > Number(failure['records'])) break;
    yield { line: info.lines - record.reduce((count, cell) => count + countBreaks(cell), 0), cells: record };
  }
  if (failure === undefined) return;
  const { message } = failure;
  yield { message: `line ${failure['lines']}: expected a record of RFC 4180: ${message}. What follows was not read` };
}

function countBreaks(cell: string): number {
  return cell.includes('\n') ? cell.split('\n').length - 1 : 0;
}

/** The separator that the first line has most of, outside quotes. */
async function separatorOf(path: string): Promise<string> {
  for await (const piece of textOf(path)) {
    const [header = ''] = piece.replaceAll(/"[^"]*"/g, '').split('\n', 1);
    const counts = SEPARATORS.map((separator) => header.split(separator).length);
    return SEPARATORS[counts.indexOf(Math.max(...counts))] as string;
  }
  return ',';
}
