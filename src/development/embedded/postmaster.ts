/**
 * Cleans up after an earlier run on a data directory. A run that was killed leaves its server behind, which holds the
 * directory; it is stopped in order. A server whose owner is alive is never touched.
 */
import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../engine/cache/index.js';
import { SECOND } from '../../std/time.js';
import { runAs } from './account.js';
import { EmbeddedError } from './child.js';

const STOP_WITHIN_MS = 10 * SECOND;
const LOOK_EVERY_MS = 20;

/** Records the owner on the server's command line. A parent with another process id then means an orphan. */
export const ownerSetting = () => `cluster_name=started-by-${process.pid}`;

/** @throws EmbeddedError IN_USE if the process that started the server is still alive */
export async function stopLeftover(clusterDir: string): Promise<void> {
  const pidFile = join(clusterDir, 'postmaster.pid');
  const pid = Number.parseInt((await readFile(pidFile, 'utf8').catch(() => '')).split('\n')[0] ?? '', 10);
  const found = Number.isNaN(pid) ? undefined : describe(pid);
  if (!found) return;
  if (!/postgres/.test(found.command)) {
    // The computer was restarted and the process id is in use by another program, which PostgreSQL would take for a
    // server.
    await rm(pidFile);
    return;
  }
  // For any other server, PostgreSQL itself knows whether it holds this directory, and refuses with a clear message.
  if (!found.command.includes(`-D ${clusterDir} `)) return;
  if (found.command.includes(`started-by-${found.parentPid} `)) {
    throw new EmbeddedError(
      'IN_USE',
      `process ${found.parentPid} uses ${clusterDir}: stop it, or use another directory`,
    );
  }
  await stop(pid, clusterDir);
}

async function stop(pid: number, clusterDir: string): Promise<void> {
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    process.kill(pid, signal);
    const deadlineMs = systemClock.monotonicMs() + STOP_WITHIN_MS;
    while (systemClock.monotonicMs() < deadlineMs) {
      // Not a child of this process, so its end must be polled. A zombie has no command line and counts as ended.
      if (!describe(pid)?.command.includes(clusterDir)) return;
      await systemClock.sleep(LOOK_EVERY_MS);
    }
  }
}

interface ProcessDescription {
  parentPid: number;
  /** Its arguments, with a space after each. */
  command: string;
}

function describe(pid: number): ProcessDescription | undefined {
  return existsSync('/proc/self/status') ? describeByProc(pid) : describeByPs(pid);
}

function describeByProc(pid: number): ProcessDescription | undefined {
  try {
    const parentPid = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    return { parentPid, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') };
  } catch {
    return undefined;
  }
}

function describeByPs(pid: number): ProcessDescription | undefined {
  const row = /^\s*(\d+) (.*)/.exec(runAs(undefined, 'ps', ['-ww', '-o', 'ppid=,command=', '-p', String(pid)]).stdout);
  return row ? { parentPid: Number(row[1]), command: `${row[2]} ` } : undefined;
}
