/**
 * A private PostgreSQL for laptops and tests, from npm: nothing to install, nothing to configure. It listens on a free
 * port of 127.0.0.1 only, keeps its data in a directory of ours, and runs as the user postgres when we are root.
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
  /** Initialised when empty, used again when it holds our cluster; never taken when it holds anything else. */
  dataDir: string;
  /** Settings, `name=value`; they win over ours. `fsync=off` is for data that nobody will miss. */
  flags?: string[];
  onLog?: (line: string) => void;
  /** Where bin, lib and share are; default: in the npm package for this platform. */
  nativeDir?: string;
}

export interface EmbeddedPostgres {
  /** Of the database `tasks`, as the superuser postgres. */
  url: string;
  port: number;
  pid: number;
  /** Where the data are: elsewhere than asked for if the user postgres cannot enter that directory. */
  dataDir: string;
  stop(): Promise<void>;
}

const DATABASE = 'tasks';

// Sorting by code points under the builtin provider needs no locale of the system: the same order on every computer.
const LOCALE_FLAGS = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

// No Unix socket: its path would be too long for a deep clone, and /tmp would be shared with other servers.
const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'timezone=UTC', 'log_timezone=UTC'];

/** @throws EmbeddedError */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { flags = [], onLog, nativeDir = packagedBinaries() } = options;
  const wantedDir = resolve(options.dataDir);
  const account = await accountFor(join(wantedDir, 'cluster'));
  const dataDir = await prepareDataDir(wantedDir, account);
  if (dataDir !== wantedDir) onLog?.(`the user postgres cannot enter ${wantedDir}: the data are in ${dataDir}`);
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
    // Its "fast shutdown": ends connections, writes a checkpoint, leaves nothing to recover.
    stopSignal: 'SIGINT',
    account,
    onLog,
  });
  const urlOf = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
  try {
    await createDatabase(urlOf('postgres'));
  } catch (cause) {
    await server.stop();
    throw new EmbeddedError('START_FAILED', `PostgreSQL started, but the database ${DATABASE} could not be made`, {
      cause,
    });
  }
  return { url: urlOf(DATABASE), port, dataDir, ...server };
}

/** The directory, open to the account; or, if a parent of it is closed to him, one of a stable name that is not. */
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
    // Asked again: under a strict umask the parents that were just made are closed.
    if (await canEnter(account, wantedDir)) return wantedDir;
  }
  const name = createHash('sha256').update(wantedDir).digest('hex').slice(0, 16);
  const movedDir = join(await temporaryDir(account), `embedded-postgres-data-${name}`);
  await mkdir(movedDir, { recursive: true, mode: 0o700 });
  // Anybody may make that name in a directory open to all: then it is his, and not for us to use.
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
    `${dataDir} holds ${foreign}, which is not ours: use an empty directory`,
  );
}

interface Cluster {
  binDir: string;
  dataDir: string;
  clusterDir: string;
  account: Account | undefined;
  durable: boolean;
}

/** Makes the cluster if it is not there, and gives its password: other users of this computer can reach the port. */
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
  // Renamed only when finished: a cluster is whole, or an interrupted start has left none.
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
