/** Opens a file to import: finds its format, or is given it. */
import { isUtf8 } from 'node:buffer';
import { open, readFile } from 'node:fs/promises';
import { columnsOf } from './csv-table.js';
import { csvFile } from './csv-tasks.js';
import { githubFile } from './github-issues.js';
import { ImportError } from './import-error.js';
import type { ImportFile } from './items.js';
import { isJira, jiraFile } from './jira.js';
import { jsonlFile } from './jsonl.js';
import { isLinear, linearFile } from './linear.js';
import { plain } from './values.js';

export const IMPORT_FORMATS = ['github', 'csv', 'linear', 'jira', 'jsonl'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

/** Bytes that are read to find the format. */
const HEAD_BYTES = 64 * 1024;

export interface OpenImportOptions {
  /** Default: found by the content. */
  readonly format?: ImportFormat | undefined;
  /** For CSV: names of columns, and the fields that they hold. */
  readonly columns?: ReadonlyMap<string, string>;
  /** Words for statuses and priorities, and the values that they mean. */
  readonly values?: ReadonlyMap<string, string>;
}

/** @throws ImportError; errors of the file system */
export async function openImport(path: string, options: OpenImportOptions = {}): Promise<ImportFile> {
  const { columns = new Map(), values = new Map() } = options;
  const names = new Map([...values].map(([word, value]) => [plain(word), value]));
  const format = options.format ?? (columns.size > 0 ? 'csv' : await formatOf(path));
  if (columns.size > 0 && format !== 'csv') {
    throw new ImportError('BAD_HEADER', `--map: expected the format csv, got ${format}`);
  }
  switch (format) {
    case 'github':
      return githubFile(await wholeText(path));
    case 'jsonl':
      return jsonlFile(path);
    case 'linear':
      return linearFile(path, names);
    case 'jira':
      return jiraFile(path, names);
    case 'csv':
      return csvFile(path, { names, columns });
  }
}

/** @throws ImportError */
async function formatOf(path: string): Promise<ImportFormat> {
  const first = (await headOf(path))
    .replace(/^\ufeff/, '')
    .trimStart()
    .charAt(0);
  if (first === '[') return 'github';
  if (first === '{') return 'jsonl';
  if (first === '') throw new ImportError('UNKNOWN_FORMAT', 'the file: expected tasks, got nothing');
  const columns = await columnsOf(path);
  if (isJira(columns)) return 'jira';
  return isLinear(columns) ? 'linear' : 'csv';
}

async function headOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(HEAD_BYTES), length: HEAD_BYTES });
    return buffer.subarray(0, bytesRead).toString();
  } finally {
    await file.close();
  }
}

/** GitHub's file is one array, which is parsed as a whole. */
async function wholeText(path: string): Promise<string> {
  const bytes = await readFile(path);
  if (!isUtf8(bytes)) throw new ImportError('BAD_ENCODING', 'the file: expected UTF-8, got another encoding');
  return bytes.toString();
}
