/** `tasks export`: writes a project as JSON Lines or CSV, to a file or stdout. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { checkDriver } from '../database-check.js';
import { ExportSnapshot } from '../domain/export/export.repository.js';
import { EXPORT_FORMATS, type ExportFormat, exportText } from '../domain/export/export-text.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { withServices } from './with-services.js';

export interface ExportArguments {
  readonly project: string;
  readonly format: string;
  /** Default: stdout. */
  readonly output?: string;
  /** Whether cells of CSV that a spreadsheet would execute get an apostrophe before them. */
  readonly protectFormulas: boolean;
}

/** @throws ConfigError if there is no such project */
export async function exportProject({ project: key, format: given, output, protectFormulas }: ExportArguments) {
  const config = readConfig(process.env);
  const format = formatOf(given);
  await checkDriver();
  await withServices(config, async ({ databaseUrl }) => {
    const snapshot = await ExportSnapshot.open(databaseUrl, { key });
    if (snapshot === undefined) {
      throw new ConfigError(`--project: there is no project with the key ${JSON.stringify(key)}`);
    }
    const text = Readable.from(exportText(snapshot, { format, protectFormulas }), { highWaterMark: 1 });
    try {
      await (output === undefined ? pipeline(text, process.stdout, { end: false }) : writeFile(text, output));
    } finally {
      await snapshot.close();
    }
  });
}

async function writeFile(text: Readable, path: string): Promise<void> {
  try {
    await pipeline(text, createWriteStream(path));
  } catch (error) {
    await rm(path, { force: true }); // half a file must not look like a whole one
    throw error;
  }
}

/** @throws ConfigError */
function formatOf(given: string): ExportFormat {
  const format = EXPORT_FORMATS.find((known) => known === given);
  if (format !== undefined) return format;
  throw new ConfigError(`--format: expected ${EXPORT_FORMATS.join(' or ')}, got ${JSON.stringify(given)}`);
}
