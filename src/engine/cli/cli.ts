#!/usr/bin/env node
/** The command of the package: `tagfence migration`. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isRowSets, migrationSql } from '../postgres/migration.js';

const UNDER_TSX = 'TAGFENCE_UNDER_TSX';
const USAGE = `Usage: tagfence migration --tables FILE... [--check PATH]

Prints the SQL that a database needs before its rows are cached: outbox, functions, triggers, identity.
It can be run again: whenever row sets change, a new migration holds the whole text.

  --tables FILE   a module that exports what rowSets() returned, or lists of it; TypeScript needs tsx, or Node 22.18 or newer; may be repeated
  --check PATH    prints nothing, and fails unless this file, or a .sql file in this folder, holds exactly this SQL: for CI`;

try {
  await run(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function run(args: string[]): Promise<void> {
  const options = {
    tables: { type: 'string', multiple: true },
    check: { type: 'string' },
    help: { type: 'boolean' },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) return console.log(USAGE);
  if (positionals.join(' ') !== 'migration' || values.tables === undefined) throw new Error(USAGE);
  if (values.tables.some((file) => /\.[cm]?tsx?$/.test(file)) && underTsx(args)) return;
  const modules = await Promise.all(values.tables.map(load));
  const declared = [...new Set(modules.flatMap((exported) => Object.values(exported).flat().filter(isRowSets)))];
  if (declared.length === 0)
    throw new Error(`--tables: expected a module that exports row sets, found none in ${values.tables.join(', ')}`);
  declared.sort((a, b) => (`${a.schema}.${a.table}` < `${b.schema}.${b.table}` ? -1 : 1));
  const text = migrationSql(declared);
  if (values.check === undefined) process.stdout.write(text);
  else if (!holds(values.check, text)) {
    throw new Error(
      `--check: no migration in ${values.check} holds the row sets as they are declared now: generate a new one`,
    );
  }
}

async function load(file: string): Promise<Record<string, unknown>> {
  return (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
}

/**
 * Runs this command again under the caller's tsx, where it has one: imports may then name `.js` files which are `.ts`
 * on disk. Without it Node strips the types, or says that it cannot.
 */
function underTsx(args: string[]): boolean {
  if (process.env[UNDER_TSX] !== undefined || !hasTsx()) return false;
  const env = { ...process.env, [UNDER_TSX]: '1' };
  const again = [...process.execArgv, '--import', 'tsx', fileURLToPath(import.meta.url), ...args];
  process.exitCode = spawnSync(process.execPath, again, { stdio: 'inherit', env }).status ?? 1;
  return true;
}

function hasTsx(): boolean {
  try {
    createRequire(join(process.cwd(), 'package.json')).resolve('tsx');
    return true;
  } catch {
    return false;
  }
}

function holds(path: string, text: string): boolean {
  const files = statSync(path).isDirectory()
    ? readdirSync(path)
        .filter((name) => name.endsWith('.sql'))
        .map((name) => join(path, name))
    : [path];
  return files.some((file) => readFileSync(file, 'utf8') === text);
}
