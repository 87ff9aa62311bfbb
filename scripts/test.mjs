/**
 * `npm test`: the whole suite. Most files run in two halves at the same time, each with a PostgreSQL and a Redis of its own; tests
 * that measure latency run alone afterwards. With arguments: `vitest run` with these.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const HALVES = 2;
/** See vitest.config.ts. */
const TOGETHER = ['all', 'near'];
const ALONE = ['hostile'];

/** @returns the exit code. `held`: what it prints is shown when it has ended, so that two runs do not mix. */
function vitest(args, { held }) {
  const child = spawn(process.execPath, [VITEST, 'run', ...args], {
    stdio: ['ignore', held ? 'pipe' : 'inherit', held ? 'pipe' : 'inherit'],
  });
  const printed = [];
  for (const stream of held ? [child.stdout, child.stderr] : []) stream.on('data', (data) => printed.push(data));
  return new Promise((resolve) => {
    child.on('close', (code) => {
      process.stdout.write(Buffer.concat(printed));
      resolve(code ?? 1);
    });
  });
}

const projects = (names) => names.map((name) => `--project=${name}`);

async function whole() {
  const halves = Array.from({ length: HALVES }, (_, i) =>
    vitest([...projects(TOGETHER), `--shard=${i + 1}/${HALVES}`], { held: i > 0 }),
  );
  const codes = await Promise.all(halves);
  codes.push(await vitest(projects(ALONE), { held: false }));
  return Math.max(...codes);
}

const given = process.argv.slice(2);
process.exitCode = given.length > 0 ? await vitest(given, { held: false }) : await whole();
