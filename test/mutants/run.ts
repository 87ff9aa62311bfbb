/**
 * Takes the rules of the protocol out of a copy of this tree, one at a time, and expects the test that the table names to fail.
 * `npm run test:mutants [-- part of a mutant's name]`: prints a Markdown table; exits with 1 when one survives, or when the table of mutants
 * is not true to the code.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServers } from '../support/services.js';
import { type Applied, killerOf, MUTANTS, mutated } from './mutants.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What a run of vitest reads, besides the modules. */
const COPIED = ['src', 'test', 'scripts', 'package.json', 'schema.graphql'];
const RUN_WITHIN_MS = 300_000;

interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** For when neither is what was expected. */
  readonly output: string;
}

async function copyOfTree(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'mutants-'));
  const configs = (await readdir(ROOT)).filter((name) =>
    /^(tsconfig.*\.json|vitest\.config\.ts|.*\.config\.ts)$/.test(name),
  );
  for (const name of [...COPIED, ...configs]) await cp(join(ROOT, name), join(dir, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

/** Runs the tests of one file whose names contain `title`. */
async function runTests(
  dir: string,
  { file, title }: { file: string; title: string },
  env: NodeJS.ProcessEnv,
): Promise<Verdict> {
  const report = join(dir, 'report.json');
  await rm(report, { force: true });
  const pattern = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const args = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', file, '-t', pattern];
  const child = spawn(process.execPath, [...args, '--reporter=json', `--outputFile=${report}`], {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_WITHIN_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  await new Promise((resolve) => child.on('close', resolve));
  try {
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(await readFile(report, 'utf8'));
    return { passed, failed, output };
  } catch {
    return { passed: 0, failed: 0, output };
  }
}

/** Where the table is not true to the code: each mutant changes what is there, and names a test that exists. */
async function faultsOfTable(): Promise<string[]> {
  const files = new Map<string, string>();
  const applied = MUTANTS.flatMap((mutant) => ('absent' in mutant ? [] : [mutant]));
  for (const { file, replace, killedBy } of applied) {
    for (const path of [file, killedBy.split(' > ')[0] as string, ...replace.flatMap(([, , other]) => other ?? [])]) {
      if (!files.has(path)) files.set(path, await readFile(join(ROOT, path), 'utf8').catch(() => ''));
    }
  }
  const read = (file: string) => files.get(file) as string;
  const names = MUTANTS.map(({ name }) => name);
  const faults = names.filter((name, i) => names.indexOf(name) !== i).map((name) => `${name} is named twice`);
  for (const mutant of applied) {
    try {
      const unchanged = [...mutated(mutant, read)].find(([file, text]) => text === read(file));
      if (unchanged !== undefined) faults.push(`${mutant.name} changes nothing in ${unchanged[0]}`);
    } catch (error) {
      faults.push((error as Error).message);
    }
    const { file, title } = killerOf(mutant);
    const titles = read(file).matchAll(/\b(?:test|it)(?:\.each[\s\S]*?\))?\(\s*(['"])(.*?)\1,/g);
    const found = [...titles].filter(([, , one]) => one?.includes(title)).length;
    if (found !== 1) faults.push(`${mutant.name}: ${found} tests in ${file} are named ${title}`);
  }
  return faults;
}

async function main(filter: string): Promise<boolean> {
  const faults = await faultsOfTable();
  if (faults.length > 0) {
    process.stderr.write(`${faults.join('\n')}\n`);
    return false;
  }
  const dir = await copyOfTree();
  // One PostgreSQL and one Redis for all runs.
  const { databaseUrl, redisUrl, stop } = await startServers();
  const env = { TEST_DATABASE_URL: databaseUrl, TEST_REDIS_URL: redisUrl };
  const healthy = new Map<string, Promise<Verdict>>();
  const verdictOn = async (mutant: Applied): Promise<string> => {
    const killer = killerOf(mutant);
    const before = healthy.get(mutant.killedBy) ?? runTests(dir, killer, env);
    healthy.set(mutant.killedBy, before);
    const { passed, failed, output } = await before;
    if (passed === 0 || failed > 0) {
      process.stderr.write(output);
      return `no: without the change ${passed} pass and ${failed} fail`;
    }
    const originals = new Map<string, string>();
    for (const file of new Set([mutant.file, ...mutant.replace.flatMap(([, , other]) => other ?? [])])) {
      originals.set(file, await readFile(join(dir, file), 'utf8'));
    }
    try {
      const changed = mutated(mutant, (file) => originals.get(file) as string);
      for (const [file, text] of changed) await writeFile(join(dir, file), text);
      const after = await runTests(dir, killer, env);
      if (after.failed > 0) return 'yes';
      if (after.passed === 0) process.stderr.write(after.output);
      return after.passed > 0 ? 'no: survived' : 'no: nothing ran';
    } finally {
      for (const [file, text] of originals) await writeFile(join(dir, file), text);
    }
  };
  let allKilled = true;
  try {
    process.stdout.write('| mutant | changed file | killed by | killed |\n|---|---|---|---|\n');
    for (const mutant of MUTANTS.filter(({ name }) => name.includes(filter))) {
      if ('absent' in mutant) {
        process.stdout.write(`| ${mutant.name} | – | ${mutant.absent} | – |\n`);
        continue;
      }
      const verdict = await verdictOn(mutant);
      if (verdict !== 'yes') allKilled = false;
      process.stdout.write(`| ${mutant.name} | ${mutant.file} | ${mutant.killedBy} | ${verdict} |\n`);
    }
  } finally {
    await stop();
    await rm(dir, { recursive: true, force: true });
  }
  return allKilled;
}

process.exitCode = (await main(process.argv[2] ?? '')) ? 0 : 1;
