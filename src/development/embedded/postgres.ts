/**
 * A private PostgreSQL for development and tests, from npm: nothing to install or configure. It listens on a free port
 * of 127.0.0.1 only, keeps its data in its own directory, and runs as the user postgres if this process is root.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import postgres from 'postgres';
import { accountFor, canEnter, runAs, temporaryDir } from './account.js';
import { type Account, EmbeddedError, freePort, startServer } from './child.js';
import { packagedBinaries, usableBinaries } from './postgres-binaries.js';
import { ownerSetting, stopLeftover } from './postmaster.js';

export interface PostgresOptions {
  /**
   * Initialized if empty, reused if it contains a cluster of this module. A directory with other content is refused.
   */
  dataDir: string;
  /** Settings, `name=value`, which override the defaults. `fsync=off` is for data that may be lost. */
  flags?: string[];
  onLog?: (line: string) => void;
  /** The directory of bin, lib and share. Defaults to the npm package for this platform. */
  nativeDir?: string;
}

export interface EmbeddedPostgres {
  /** URL of the database `tasks` for the superuser postgres. */
  url: string;
  port: number;
  pid: number;
  /** The actual directory of the data. Differs from the requested one if the user postgres cannot enter that. */
  dataDir: string;
  stop(): Promise<void>;
}

const DATABASE = 'tasks';

// The builtin provider sorts by code points without a system locale: the same order on every computer.
const LOCALE_FLAGS = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

// No Unix socket: its path would be too long for a deep clone, and /tmp would be shared with other servers.
const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'timezone=UTC', 'log_timezone=UTC'];

/** @throws EmbeddedError */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { flags = [], onLog, nativeDir = packagedBinaries() } = options;
  const wantedDir = resolve(options.dataDir);
  const account = await accountFor(join(wantedDir, 'cluster'));
  const dataDir = await prepareDataDir(wantedDir, account);
  if (dataDir !== wantedDir) onLog?.(`the user postgres cannot enter ${wantedDir}: the data is in ${dataDir}`);
  const binDir = join(await usableBinaries(nativeDir, account), 'bin');
  const clusterDir = join(dataDir, 'cluster');

  const password = await initialise({ binDir, dataDir, clusterDir, account, durable: !flags.includes('fsync=off') });
  await stopLeftover(clusterDir);
  const port = await freePort();
  const settings = [...SETTINGS, ...flags, ownerSetting()].flatMap((setting) => ['-c', setting]);
  const server = await startServer({
    name: 'PostgreSQL',
    file: join(binDir, 'postgres'),
    args: ['-D', clusterDir, '-p', String(port), ...settings],
    readyLine: /database system is ready to accept connections/,
    // PostgreSQL's "fast shutdown": ends connections and writes a checkpoint, so no recovery is needed.
    stopSignal: 'SIGINT',
    account,
    onLog,
  });
  const urlOf = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
  try {
    await createDatabase(urlOf('postgres'));
  } catch (cause) {
    await server.stop();
    throw new EmbeddedError('START_FAILED', `PostgreSQL started, but the database ${DATABASE} could not be created`, {
      cause,
    });
  }
  return { url: urlOf(DATABASE), port, dataDir, ...server };
}

/**
 * Opens the directory to the account. If a parent of it is closed to the account, returns an accessible directory with
 * a stable name.
 */
async function prepareDataDir(wantedDir: string, account: Account | undefined): Promise<string> {
  if (account === undefined) {
    await mkdir(wantedDir, { recursive: true, mode: 0o700 });
    await refuseForeign(wantedDir);
    return wantedDir;
  }
  if (await canEnter(account, join(wantedDir, '..'))) {
    await mkdir(wantedDir, { recursive: true });
    await refuseForeign(wantedDir);
    await chown(wantedDir, account.uid, account.gid);
    // Checked again: under a strict umask, parents that were just created are closed.
    if (await canEnter(account, wantedDir)) return wantedDir;
  }
  const name = createHash('sha256').update(wantedDir).digest('hex').slice(0, 16);
  const movedDir = join(await temporaryDir(account), `embedded-postgres-data-${name}`);
  await mkdir(movedDir, { recursive: true, mode: 0o700 });
  // In a directory open to all, another user may have created that name. Then it must not be used.
  const { uid } = await stat(movedDir);
  if (uid !== 0 && uid !== account.uid)
    throw new EmbeddedError('FOREIGN_DIRECTORY', `${movedDir} belongs to user ${uid}`);
  await refuseForeign(movedDir);
  await chown(movedDir, account.uid, account.gid);
  return movedDir;
}

const OURS = ['cluster', 'cluster.new', 'password'];

async function refuseForeign(dataDir: string): Promise<void> {
  const foreign = (await readdir(dataDir)).find((name) => !OURS.includes(name));
  if (!foreign) return;
  throw new EmbeddedError(
    'FOREIGN_DIRECTORY',
    `${dataDir} holds ${foreign}, which is not part of a private PostgreSQL: use an empty directory`,
  );
}

interface Cluster {
  binDir: string;
  dataDir: string;
  clusterDir: string;
  account: Account | undefined;
  durable: boolean;
}

/** Creates the cluster if it does not exist, and sets its password: other users of this computer can reach the port. */
async function initialise({ binDir, dataDir, clusterDir, account, durable }: Cluster): Promise<string> {
  const passwordFile = join(dataDir, 'password');
  const isInitialised = await stat(clusterDir).then(
    () => true,
    () => false,
  );
  if (isInitialised) return (await readFile(passwordFile, 'utf8')).trim();

  const password = randomBytes(16).toString('hex');
  await writeFile(passwordFile, `${password}\n`);
  await chmod(passwordFile, 0o600);
  if (account) await chown(passwordFile, account.uid, account.gid);
  // Renamed last, so that a cluster is complete, or absent after an interrupted start.
  const newDir = `${clusterDir}.new`;
  await rm(newDir, { recursive: true, force: true });
  const made = runAs(account, join(binDir, 'initdb'), [
    `--pgdata=${newDir}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    ...LOCALE_FLAGS,
    ...(durable ? [] : ['--no-sync']),
  ]);
  if (made.status !== 0) {
    throw new EmbeddedError('START_FAILED', `initdb failed: ${made.stderr || made.error?.message}`, {
      cause: made.error,
    });
  }
  await rename(newDir, clusterDir);
  return password;
}

async function createDatabase(adminUrl: string): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => undefined });
  try {
    const found = await sql`select 1 from pg_database where datname = ${DATABASE}`;
    if (found.length === 0) await sql`create database ${sql(DATABASE)}`;
  } finally {
    await sql.end();
  }
}
