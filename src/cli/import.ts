/**
 * `tasks import`: imports tasks in one transaction, the whole file or nothing. The import uses `transact`, so a running
 * server shows the tasks immediately.
 */
import { access, constants } from 'node:fs/promises';
import { checkDriver } from '../database-check.js';
import { userIdOf } from '../development/demo/prepare.js';
import { type ImportResult, runImport } from '../domain/import/import.service.js';
import { IMPORT_FORMATS, type ImportFormat, openImport } from '../domain/import/import-file.js';
import { openProgress } from '../domain/import/progress.js';
import { MAX_ASSIGNEES } from '../domain/tasks/task.table.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { withCore } from './with-core.js';

export interface ImportArguments {
  readonly file: string;
  /** Default: the project that the file names. */
  readonly project?: string;
  /** A handle. */
  readonly owner: string;
  /** Default: found by the content. */
  readonly format?: string;
  /** `Summary=title,Key=id` */
  readonly map?: string;
  /** `QA=IN_REVIEW,P1=URGENT` */
  readonly values?: string;
  readonly dryRun?: boolean;
}

/** Lines of names in the summary of a dry run. */
const MAX_LISTED = 90;

/** @returns what was imported, for people */
export async function importFile(given: ImportArguments): Promise<string> {
  const { file: path, project, owner, dryRun = false } = given;
  const config = readConfig(process.env);
  await checkDriver();
  await access(path, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`the file: expected one that can be read, got ${JSON.stringify(path)} (${error.code})`);
  });
  const file = await openImport(path, {
    format: formatOf(given.format),
    columns: pairsOf('--map', given.map),
    values: pairsOf('--values', given.values),
  }); // before any service is started for it
  return withCore(config, async ({ transactor }, { databaseUrl }) => {
    const ownerId = await userIdOf(databaseUrl, owner);
    if (ownerId === undefined) throw new Error(`--owner: there is no user with the handle ${JSON.stringify(owner)}`);
    const progress = openProgress(process.stderr);
    try {
      const options = { projectKey: project, ownerId, transactor, onProgress: progress.show };
      return summary(await runImport({ ...options, file, dryRun }), dryRun);
    } finally {
      progress.stop();
    }
  });
}

/** @throws ConfigError */
function formatOf(given: string | undefined): ImportFormat | undefined {
  if (given === undefined) return undefined;
  const format = IMPORT_FORMATS.find((known) => known === given);
  if (format !== undefined) return format;
  throw new ConfigError(`--format: expected one of ${IMPORT_FORMATS.join(', ')}, got ${JSON.stringify(given)}`);
}

/** @throws ConfigError */
function pairsOf(option: string, given: string | undefined): Map<string, string> {
  const pairs = (given ?? '').split(',').filter((pair) => pair.trim() !== '');
  return new Map(
    pairs.map((pair) => {
      const at = pair.lastIndexOf('=');
      if (at > 0) return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
      throw new ConfigError(
        `${option}: expected pairs like Summary=title with commas between, got ${JSON.stringify(pair)}`,
      );
    }),
  );
}

function summary(result: ImportResult, dryRun: boolean): string {
  const lines = (['users', 'labels', 'tasks', 'comments'] as const).map((kind) => {
    const { created, updated, unchanged } = result[kind];
    return `  ${kind.padEnd(9)} ${created} created, ${updated} updated, ${unchanged} unchanged`;
  });
  const { created, deleted, unchanged } = result.relations;
  if (created + deleted + unchanged > 0)
    lines.push(`  relations ${created} created, ${deleted} deleted, ${unchanged} unchanged`);
  if (result.assigneesLeftOut > 0)
    lines.push(
      `  ${result.assigneesLeftOut} issue(s) had more than ${MAX_ASSIGNEES} assignees: the first ${MAX_ASSIGNEES} were used`,
    );
  if (result.tasksInTrash > 0) lines.push(`  ${result.tasksInTrash} task(s) are in the trash: left out`);
  if (result.commentsLeftOut > 0) lines.push(`  ${result.commentsLeftOut} comment(s) without text were skipped`);
  if (result.parentsLeftOut > 0)
    lines.push(`  ${result.parentsLeftOut} parent(s) are neither in the file nor in the project: left out`);
  if (result.relationsLeftOut > 0)
    lines.push(
      `  ${result.relationsLeftOut} relation(s) to tasks that are neither in the file nor in the project: left out`,
    );
  const { projectKey, projectCreated } = result;
  if (!dryRun) return `Imported into ${projectKey}:\n${lines.join('\n')}`;
  const where = projectCreated ? `${projectKey}, which would be created` : projectKey;
  return `Dry run, nothing was written. Into ${where}:\n${[...lines, ...namesOf(result)].join('\n')}`;
}

/** What would be created by name: bounded, since a file can name thousands of users. */
function namesOf({ createdUsers, createdLabels }: ImportResult): string[] {
  const names = [
    ...createdUsers.map((handle) => `  + user ${handle}`),
    ...createdLabels.map((name) => `  + label ${name}`),
  ];
  const more = names.length - MAX_LISTED;
  return [...names.slice(0, MAX_LISTED), ...(more > 0 ? [`  and ${more} more`] : [])];
}
