/**
 * `tasks import`: imports issues in one transaction, the whole file or nothing. The import uses `transact`, so a
 * running server shows the tasks immediately.
 */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { checkDriver } from '../database-check.js';
import { userIdOf } from '../development/demo/prepare.js';
import { type ImportResult, runImport } from '../domain/import/import.service.js';
import { openProgress } from '../domain/import/progress.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { withCore } from './with-core.js';

interface ImportArguments {
  readonly file: string;
  /** Default: named by the issues' repository. */
  readonly project: string | undefined;
  /** A handle. */
  readonly owner: string;
}

/** @returns what was imported, for people */
export async function importFile({ file, project, owner }: ImportArguments): Promise<string> {
  const config = readConfig(process.env);
  await checkDriver();
  const text = await readText(file); // before any service is started for it
  return withCore(config, async ({ transactor }, { databaseUrl }) => {
    const ownerId = await userIdOf(databaseUrl, owner);
    if (ownerId === undefined) throw new Error(`--owner: there is no user with the handle ${JSON.stringify(owner)}`);
    const progress = openProgress(process.stderr);
    try {
      return summary(await runImport({ text, projectKey: project, ownerId, transactor, onProgress: progress.show }));
    } finally {
      progress.stop();
    }
  });
}

/** Some shells redirect output in UTF-16, which would be read as different text. */
async function readText(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`the file: expected one that can be read, got ${JSON.stringify(file)} (${error.code})`);
  });
  if (!isUtf8(bytes)) throw new Error('the file: expected UTF-8, got another encoding');
  return bytes.toString();
}

function summary(result: ImportResult): string {
  const lines = (['users', 'labels', 'tasks', 'comments'] as const).map((kind) => {
    const { created, updated, unchanged } = result[kind];
    return `  ${kind.padEnd(9)} ${created} created, ${updated} updated, ${unchanged} unchanged`;
  });
  if (result.assigneesLeftOut > 0)
    lines.push(`  ${result.assigneesLeftOut} issue(s) had several assignees: the first was used`);
  if (result.tasksInTrash > 0)
    lines.push(`  ${result.tasksInTrash} issue(s) were left out: their tasks are in the trash`);
  if (result.commentsLeftOut > 0) lines.push(`  ${result.commentsLeftOut} comment(s) without text were skipped`);
  return `Imported into ${result.projectKey}:\n${lines.join('\n')}`;
}
