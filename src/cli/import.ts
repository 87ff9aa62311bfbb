/**
 * `npm run import -- FILE [--project KEY] [--owner HANDLE]`: imports the issues that `gh issue list --json …` wrote, in
 * one transaction: the whole file or nothing. The import uses `transact`, so a running server shows the tasks
 * immediately.
 */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createCore, openStore } from '../core.js';
import { checkDatabase, checkDriver } from '../database-check.js';
import { DEMO_OWNER, prepareDemo, userIdOf } from '../development/demo/prepare.js';
import { joinServices } from '../development/services.js';
import { type ImportResult, runImport } from '../domain/import/import.service.js';
import { openProgress } from '../domain/import/progress.js';
import { readConfig } from '../platform/config.js';
import { createLog } from '../platform/log.js';

const USAGE = 'Usage: npm run import -- FILE [--project KEY] [--owner HANDLE]';

try {
  console.log(summary(await importFile(readArguments())));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

interface Arguments {
  readonly file: string;
  readonly project: string | undefined;
  readonly owner: string;
}

function readArguments(): Arguments {
  const options = { project: { type: 'string' }, owner: { type: 'string' } } as const;
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
  const [file, ...more] = parsed.positionals;
  if (file === undefined || more.length > 0) throw new Error(USAGE);
  return { file, project: parsed.values.project, owner: parsed.values.owner ?? DEMO_OWNER };
}

async function importFile({ file, project, owner }: Arguments): Promise<ImportResult> {
  const config = readConfig(process.env);
  await checkDriver();
  const text = await readText(file); // before any service is started for it
  const log = createLog(config.logLevel);
  const migrates = config.environment !== 'production';
  if (config.databaseUrl !== undefined) await checkDatabase(config.databaseUrl, log, { migrates });
  const services = await joinServices(config);
  const progress = openProgress(process.stderr);
  try {
    if (migrates) await prepareDemo(services.databaseUrl);
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
      return await runImport({
        text,
        projectKey: project,
        ownerId,
        transactor: core.transactor,
        onProgress: progress.show,
      });
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
  const bytes = await readFile(file);
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
