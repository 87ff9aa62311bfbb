/**
 * Takes the rules of the protocol out of a copy of this tree, one at a time, and expects the test that the table names to fail.
 * `node --import tsx test/mutants/run.ts [part of a mutant's name]`: prints a Markdown table; exits with 1 when one survives.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import startServices from '../support/services.js';
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

async function main(filter: string): Promise<boolean> {
  const dir = await copyOfTree();
  const env: NodeJS.ProcessEnv = {};
  // One PostgreSQL and one Redis for all runs.
  const provide = (name: string, url: unknown) => {
    env[name === 'redisUrl' ? 'TEST_REDIS_URL' : 'TEST_DATABASE_URL'] = String(url);
  };
  const stopServices = await startServices({ provide } as unknown as TestProject);
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
    await stopServices();
    await rm(dir, { recursive: true, force: true });
  }
  return allKilled;
}

process.exitCode = (await main(process.argv[2] ?? '')) ? 0 : 1;
