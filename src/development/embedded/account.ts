/**
 * Finds the account that runs PostgreSQL. PostgreSQL refuses to run as root, so under root it needs another account,
 * which must be able to reach its files: a clone under /root or a private temporary directory is closed to it.
 */
import { spawnSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { type Account, EmbeddedError, PLAIN_ENV } from './child.js';

/**
 * Undefined means the current account. Under root: the owner of the existing cluster, else the user postgres, created
 * if missing.
 */
export async function accountFor(clusterDir: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const cluster = await stat(clusterDir).catch(() => undefined);
  if (cluster && cluster.uid !== 0) return { uid: cluster.uid, gid: cluster.gid };
  return findPostgresUser() ?? createPostgresUser();
}

/** Whether the account can enter the directory or, if it does not exist yet, its nearest existing parent. */
export async function canEnter(account: Account, dir: string): Promise<boolean> {
  const exists = await stat(dir).then(
    () => true,
    () => false,
  );
  // Tested by running a command as the account: modes alone do not show access lists and mounts.
  if (exists) return runAs(account, 'test', ['-x', dir]).status === 0;
  return canEnter(account, dirname(dir));
}

/** A directory for temporary files that the account can enter; TMPDIR may be private to the current account. */
export async function temporaryDir(account: Account | undefined): Promise<string> {
  return account === undefined || (await canEnter(account, tmpdir())) ? tmpdir() : '/tmp';
}

export function runAs(account: Account | undefined, file: string, args: string[]) {
  return spawnSync(file, args, { ...account, cwd: '/', env: PLAIN_ENV, encoding: 'utf8' });
}

function findPostgresUser(): Account | undefined {
  const [uid, gid] = [runAs(undefined, 'id', ['-u', 'postgres']), runAs(undefined, 'id', ['-g', 'postgres'])];
  if (uid.status !== 0 || gid.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

function createPostgresUser(): Account {
  const made = runAs(undefined, 'useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    'postgres',
  ]);
  const account = findPostgresUser();
  if (account) return account;
  throw new EmbeddedError(
    'NO_ACCOUNT',
    'PostgreSQL does not run as root, and the user postgres could not be created: ' +
      `${made.stderr || made.error?.message}`,
  );
}
