/** Installs packages in a bare container, where the tests run as root; on a developer's computer it installs nothing. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MINUTE } from '../../src/std/time.js';

const LOCK = join(tmpdir(), 'tasks-test-apt.lock');

/** @returns why it could not be installed; undefined where it was */
export function aptInstall(name: string): string | undefined {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return 'not root, or no apt-get';
  for (const command of ['update', `install --yes --no-install-recommends ${name}`]) {
    // One at a time: two workers may both miss a package, and apt-get fails where another one runs.
    const { status, stderr } = spawnSync('flock', [LOCK, 'apt-get', '--quiet', ...command.split(' ')], {
      // Debian starts no service in run level 1: the one that comes with the package would only hold a port.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
      encoding: 'utf8',
      timeout: 5 * MINUTE,
    });
    if (status !== 0) return `apt-get ${command} failed: ${stderr?.trim().split('\n').at(-1)}`;
  }
  return undefined;
}
