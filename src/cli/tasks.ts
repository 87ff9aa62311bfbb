#!/usr/bin/env node
/**
 * The command `tasks`. Parses the arguments, then loads the code of the one subcommand that runs. Wrong arguments and
 * failures end with exit code 1.
 */
import { Command, CommanderError } from 'commander';
import { DEMO_OWNER } from '../development/demo/owner.js';
import { tolerateClosedOutput } from '../platform/closed-output.js';
import type { ExportArguments } from './export.js';
import type { ImportArguments } from './import.js';
import type { UserArguments } from './user.js';

/** 80 columns, as commander prints where it knows no width. */
const SERVERS = `
Environment:
  DATABASE_URL, REDIS_URL, REDIS_GROUP
                            Postgres and Redis of the servers. What is not set
                            is taken from a server that npm start runs in this
                            directory, else a private PostgreSQL is started
`;
const ALL_VARIABLES = 'All variables: docs/configuration.md';

tolerateClosedOutput();

try {
  await program().parseAsync();
} catch (error) {
  // Commander has already printed its own errors.
  if (!(error instanceof CommanderError)) console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof CommanderError ? error.exitCode : 1;
}

/** Subcommands inherit what is set before they are added. */
function program(): Command {
  const tasks = new Command('tasks')
    .description('Commands for the Tasks API, its database and its cache.')
    .helpCommand(false)
    .showHelpAfterError()
    .exitOverride();
  addImport(tasks);
  addExport(tasks);
  addUser(tasks);
  addToken(tasks);
  addMigrate(tasks);
  addCache(tasks);
  return tasks;
}

function addImport(tasks: Command): void {
  tasks
    .command('import')
    .summary('import tasks of GitHub, Linear, Jira, CSV or an export')
    .description(
      'Imports tasks in one transaction: the whole file or nothing. Importing a file again updates what changed.',
    )
    .argument('<file>', 'in UTF-8')
    .option('--format <format>', 'github, csv, linear, jira or jsonl (default: found by the content)')
    .option('--project <key>', 'project to import into (default: the one that the file names)')
    .option('--owner <handle>', 'user who imports; owns the project if it is created', DEMO_OWNER)
    .option('--map <pairs>', 'columns of a CSV file and the fields they hold: "Summary=title,Key=id"')
    .option('--values <pairs>', 'words for statuses and priorities: "QA=IN_REVIEW,P1=URGENT"')
    .option('--dry-run', 'show what would be done, and write nothing')
    .addHelpText(
      'after',
      `
Formats:
  github  what \`gh issue list --json ...\` writes
  csv     a header with the names of fields: id or url, title, ...
  linear  the CSV file that Linear exports
  jira    the CSV file that Jira exports
  jsonl   what \`tasks export\` writes
${SERVERS}  NODE_ENV=production       requires what a server requires; migrates nothing
${ALL_VARIABLES}`,
    )
    .action(async (file: string, options: Omit<ImportArguments, 'file'>) => {
      const { importFile } = await import('./import.js');
      console.log(await importFile({ file, ...options }));
    });
}

function addExport(tasks: Command): void {
  tasks
    .command('export')
    .summary('export a project')
    .description('Writes a project as it is at one moment. `tasks import` reads what this writes.')
    .requiredOption('--project <key>', 'project to export')
    .option('--format <format>', 'jsonl, with everything; or csv, with tasks alone', 'jsonl')
    .option('--output <file>', 'file to write (default: stdout)')
    .option('--no-protect-formulas', 'csv: no apostrophe before cells that spreadsheets execute')
    .addHelpText(
      'after',
      `${SERVERS}  NODE_ENV=production       requires what a server requires; migrates nothing
${ALL_VARIABLES}`,
    )
    .action(async (options: ExportArguments) => {
      const { exportProject } = await import('./export.js');
      await exportProject(options);
    });
}

function addUser(tasks: Command): void {
  const user = tasks
    .command('user')
    .helpCommand(false)
    .summary('manage users and their verified e-mail addresses')
    .description('Creates, deactivates and reactivates users, and sets their e-mail addresses.');
  addUserCreate(user);
  addUserEmail(user);
  addUserState(user, 'deactivate', 'Refuses all requests of a user from now on, on every server. Nothing is deleted.');
  addUserState(user, 'reactivate', 'Lets a deactivated user sign in again.');
}

function addUserState(user: Command, name: 'deactivate' | 'reactivate', description: string): void {
  user
    .command(name)
    .summary(`${name} a user`)
    .description(description)
    .argument('<handle>', 'the user')
    .addHelpText(
      'after',
      `${SERVERS}  NODE_ENV=production       requires what a server requires; migrates nothing
${ALL_VARIABLES}`,
    )
    .action(async (handle: string) => {
      const { setStateByCommand } = await import('./user.js');
      console.error(await setStateByCommand(handle, name === 'deactivate' ? 'DEACTIVATED' : 'ACTIVE'));
    });
}

function addUserEmail(user: Command): void {
  const email = user
    .command('email')
    .summary('set or remove the verified e-mail address of a user')
    .description('Sets the verified e-mail address of a user, by which OWNERs of projects find the user.')
    .argument('<handle>', 'the user')
    .argument('[address]', 'the verified address of no other user')
    .option('--none', 'remove the address')
    .addHelpText(
      'after',
      `${SERVERS}  NODE_ENV=production       requires what a server requires; migrates nothing
${ALL_VARIABLES}`,
    )
    .action(async (handle: string, address: string | undefined, { none = false }: { none?: boolean }) => {
      if ((address === undefined) !== none) email.error('error: expected either an address or --none');
      const { setEmailByCommand } = await import('./user.js');
      console.error(await setEmailByCommand(handle, address ?? null));
    });
}

function addUserCreate(user: Command): void {
  user
    .command('create')
    .summary('create a user, and print a token')
    .description(
      'Creates a user. If JWT_SECRET is set, prints an access token on stdout, and nothing else; it is valid for 12 hours.',
    )
    .argument('<handle>', 'unique, without white space')
    .option('--owner-of <key>', 'project that the user owns; created if there is none')
    .option('--name <name>', 'shown to others (default: the handle)')
    .option('--subject <subject>', 'subject of the tokens that an identity provider issues')
    .option('--email <address>', 'verified e-mail address')
    .addHelpText(
      'after',
      `${SERVERS}  JWT_SECRET                signs the token (default: .data/jwt-secret)
  JWT_ISSUER, JWT_AUDIENCE  claims of the token (default: tasks-api)
  NODE_ENV=production       requires what a server requires; migrates nothing
${ALL_VARIABLES}`,
    )
    .action(async (handle: string, options: Omit<UserArguments, 'handle'>) => {
      const { createUserByCommand } = await import('./user.js');
      const { summary, token } = await createUserByCommand({ handle, ...options });
      console.error(summary);
      if (token !== undefined) console.log(token);
    });
}

function addToken(tasks: Command): void {
  tasks
    .command('token')
    .summary('print an access token (development only)')
    .description(
      'Prints an access token for a user on stdout, and nothing else. It is valid for 12 hours. Development only.',
    )
    .argument('[handle]', 'the user', DEMO_OWNER)
    .addHelpText(
      'after',
      `${SERVERS}  JWT_SECRET                signs the token (default: .data/jwt-secret)
  JWT_ISSUER, JWT_AUDIENCE  claims of the token (default: tasks-api)
${ALL_VARIABLES}`,
    )
    .action(async (handle: string) => {
      const { makeToken } = await import('./token.js');
      console.log(await makeToken(handle));
    });
}

function addMigrate(tasks: Command): void {
  tasks
    .command('migrate')
    .summary('migrate the database to the schema of this build')
    .description(
      'Migrates the database to the schema of this build. Deployments run it once before they start servers.',
    )
    .option('--status', 'print which migrations are applied and which are pending, and change nothing')
    .addHelpText(
      'after',
      `
Environment:
  DATABASE_URL            the database to migrate (required)
  MIGRATION_DATABASE_URL  in place of it: the same database, by the role that
                          owns the tables
  DATABASE_PASSWORD, MIGRATION_DATABASE_PASSWORD
                          passwords that are not in the URLs

Exit codes: 0 done, or with --status: nothing is pending; 1 failed; 2 with
--status: migrations are pending
${ALL_VARIABLES}`,
    )
    .action(async ({ status = false }: { status?: boolean }) => {
      const { migrate, migrationStatus } = await import('./migrate.js');
      await (status ? migrationStatus() : migrate());
    });
}

function addCache(tasks: Command): void {
  const cache = tasks
    .command('cache')
    .helpCommand(false)
    .summary('show what the cache did')
    .description('Shows what the cache did.');
  cache
    .command('stats')
    .summary('print the outcomes of cached calls of a day')
    .description('Prints the outcomes of cached calls of all processes on a day, as CSV. They are kept for 8 days.')
    .argument('[day]', 'YYYY-MM-DD in UTC (default: today)')
    .addHelpText(
      'after',
      `
Environment:
  REDIS_URL, REDIS_CLUSTER_NODES or REDIS_SENTINELS
               the Redis of the servers (default: that of a server that npm
               start runs in this directory)
  REDIS_GROUP  prefix of the servers' keys (default: tasks)
${ALL_VARIABLES}`,
    )
    .action(async (day: string | undefined) => {
      const { printStatistics } = await import('./cache.js');
      await printStatistics(day);
    });
}
