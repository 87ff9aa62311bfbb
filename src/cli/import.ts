/**
 * `tasks import`: imports issues in one transaction, the whole file or nothing. The import uses `transact`, so a
 * running server shows the tasks immediately.
 */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { createCore, openStore } from '../core.js';
import { checkDatabase, checkDriver } from '../database-check.js';
import { prepareDemo, userIdOf } from '../development/demo/prepare.js';
import { joinServices } from '../development/services.js';
import { type ImportResult, runImport } from '../domain/import/import.service.js';
import { openProgress } from '../domain/import/progress.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { createLog } from '../platform/log.js';

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
  const log = createLog(config.logLevel);
  const migrates = config.environment !== 'production';
  if (config.databaseUrl !== undefined) await checkDatabase(config.databaseUrl, log, { migrates });
  const services = await joinServices(config);
  const progress = openProgress(process.stderr);
  try {
    if (migrates) await prepareDemo(services);
    const ownerId = await userIdOf(services.databaseUrl, owner);
    if (ownerId === undefined) throw new Error(`--owner: there is no user with the handle ${JSON.stringify(owner)}`);
    const core = createCore({
      databaseUrl: services.databaseUrl,
      // Without Redis the store is not shared; a server with its cache in its own process learns of the import from its
      // relay.
      store: await openStore(services.redis, log, { group: services.redisGroup }),
      log,
      checkCoverage: false,
    });
    try {
      const { transactor } = core;
      return summary(await runImport({ text, projectKey: project, ownerId, transactor, onProgress: progress.show }));
    } finally {
      await core.close();
    }
  } finally {
    progress.stop();
    await services.stop();
  }
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
  if (result.commentsLeftOut > 0) lines.push(`  ${result.commentsLeftOut} comment(s) without text were skipped`);
  return `Imported into ${result.projectKey}:\n${lines.join('\n')}`;
}
