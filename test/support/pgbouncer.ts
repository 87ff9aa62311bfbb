/** PgBouncer in transaction mode in front of a test's Postgres. It is installed where the tests run as root. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountFor } from '../../src/development/embedded/account.js';
import { freePort, startServer } from '../../src/development/embedded/child.js';
import { aptInstall } from './apt.js';

const PLACES = [process.env.PGBOUNCER_PATH, '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/opt/homebrew/bin/pgbouncer'];
const findPgbouncer = () => PLACES.find((path) => path !== undefined && existsSync(path));

if (findPgbouncer() === undefined) aptInstall('pgbouncer');

/** Undefined: tests that need one are skipped, and `needsPgbouncer` in their name says why. */
export const pgbouncerPath = findPgbouncer();
export const needsPgbouncer = pgbouncerPath === undefined ? ': skipped, none found; set PGBOUNCER_PATH' : '';

export interface Pooler {
  /** The URL of the same database through the pooler, without `pgbouncer=true`. */
  urlOf(directUrl: string): string;
  stop(): Promise<void>;
}

/** @param poolSize connections to Postgres for each database: fewer than clients, so that they share them */
export async function startPgbouncer(serverUrl: string, poolSize: number): Promise<Pooler> {
  const server = new URL(serverUrl);
  const directory = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
  const account = await accountFor(join(directory, 'none')); // like PostgreSQL, it refuses to run as root
  const port = await freePort();
  const users = join(directory, 'users.txt');
  const config = join(directory, 'pgbouncer.ini');
  await writeFile(users, `"${decodeURIComponent(server.username)}" "${decodeURIComponent(server.password)}"\n`);
  await writeFile(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
  );
  if (account) await Promise.all([directory, users, config].map((path) => chown(path, account.uid, account.gid)));
  await chmod(directory, 0o755);
  const running = await startServer({
    name: 'PgBouncer',
    file: pgbouncerPath as string,
    args: [config],
    readyLine: /process up/,
    stopSignal: 'SIGINT',
    account,
  });
  return {
    urlOf(directUrl) {
      const url = new URL(directUrl);
      url.host = `127.0.0.1:${port}`;
      return url.href;
    },
    async stop() {
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
