/** promtool, which comes with Prometheus. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PLACES = [
  process.env.PROMTOOL_PATH,
  '/usr/bin/promtool',
  '/usr/local/bin/promtool',
  '/opt/homebrew/bin/promtool',
];

/** Undefined: tests that need it are skipped, and `needsPromtool` in their name says why. */
export const promtoolPath = PLACES.find((path) => path !== undefined && existsSync(path));
export const needsPromtool = promtoolPath === undefined ? ': skipped, none found; set PROMTOOL_PATH' : '';

/** @returns what it finds wrong with metrics in Prometheus's text format; empty where it finds nothing */
export function checkMetrics(text: string): string {
  const { status, stdout, stderr } = spawnSync(promtoolPath as string, ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  return status === 0 ? '' : `${stdout}${stderr}`;
}
