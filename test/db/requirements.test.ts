/** The ways to a real server, and the line for the operator where a database cannot be used. */
import { spawnSync } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../src/db/migrate.js';
import { accountFor } from '../../src/development/embedded/account.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { DatabaseUnusable } from '../../src/engine/postgres/requirements.js';
import { createEmptyDatabase, requireDatabase } from '../support/database.js';

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1');
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** The line that a start ends with; fails where there is none. */
async function refusal(url: string): Promise<string> {
  const error = await requireDatabase(url).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DatabaseUnusable);
  const { message } = error as Error;
  expect(message).not.toContain('\n');
  return message;
}

describe('encodings and locales', () => {
  const refused = async (clause: string) => {
    const database = await createEmptyDatabase({ clause });
    try {
      const message = await refusal(database.url);
      await expect(migrateDatabase(database.url)).rejects.toThrow(message); // before it makes anything
      return message;
    } finally {
      await database.drop();
    }
  };

  test.each(['SQL_ASCII', 'LATIN1'])('a database whose encoding is %s is refused', async (encoding) => {
    expect(await refused(`template template0 encoding '${encoding}' locale_provider libc locale 'C'`)).toBe(
      `UTF8 is needed, the encoding of this database is ${encoding}: create it with template template0 encoding 'UTF8' locale 'C.UTF-8'`,
    );
  });

  test('a database whose LC_CTYPE knows no capitals beyond ASCII is refused', async () => {
    expect(
      await refused("template template0 encoding 'UTF8' locale_provider libc lc_collate 'C' lc_ctype 'C'"),
    ).toContain('LC_CTYPE of this database is C, which knows no capitals beyond ASCII');
  });
});

test('a database created as the refusals say is accepted', async () => {
  const clause = "template template0 encoding 'UTF8' locale_provider libc locale 'C.UTF-8'";
  const database = await createEmptyDatabase({ clause });
  try {
    await migrateDatabase(database.url);
    const sql = postgresClient(database.url, { max: 1 });
    expect([...(await sql`select 'ÉTÉ' ilike 'été' as equal`)]).toEqual([{ equal: true }]);
    await sql.end();
  } finally {
    await database.drop();
  }
});

describe('a server', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pg-'));
    const account = await accountFor(join(directory, 'data', 'cluster'));
    if (account) await chown(directory, account.uid, account.gid);
    const flags = [`listen_addresses=127.0.0.1${hasIpv6 ? ',::1' : ''}`, `unix_socket_directories=${directory}`];
    if (hasOpenssl) {
      const [cert, key] = [join(directory, 'server.crt'), join(directory, 'server.key')];
      const subject = ['-subj', '/CN=db.example', '-addext', 'subjectAltName=DNS:db.example'];
      spawnSync('openssl', [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-keyout',
        key,
        '-out',
        cert,
        ...subject,
      ]);
      if (account) await chown(key, account.uid, account.gid);
      flags.push('ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`);
    }
    server = await startPostgres({ dataDir: join(directory, 'data'), flags: ['fsync=off', ...flags] });
  });
  afterAll(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** The server's URL with other parts. */
  function at(change: { host?: string; query?: string; path?: string }): string {
    const url = new URL(server.url);
    const host = change.host ?? url.host;
    return `postgres://${url.username}:${url.password}@${host}${change.path ?? url.pathname}?${change.query ?? ''}`;
  }

  async function usesTls(url: string): Promise<boolean> {
    await requireDatabase(url);
    const sql = postgresClient(url, { max: 1 });
    const [row] = await sql<{ ssl: boolean }[]>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
    await sql.end();
    return row?.ssl as boolean;
  }

  test('a server is reached by its Unix socket, as the host or as a parameter', async () => {
    const { port } = server;
    await requireDatabase(at({ host: '', query: `host=${directory}&port=${port}` }));
    await requireDatabase(at({ host: `${encodeURIComponent(directory)}:${port}` }));
    expect(await usesTls(at({ host: '', query: `host=${directory}&port=${port}&sslmode=require` }))).toBe(false);
  });

  test.runIf(hasIpv6)('a server is reached by an IPv6 address', async () => {
    await requireDatabase(at({ host: `[::1]:${server.port}` }));
  });

  test('the parameter options sets what it names, except for settings that the code relies on', async () => {
    const sql = postgresClient(at({ query: 'options=-c%20work_mem%3D7MB%20-c%20DateStyle%3DGerman' }), { max: 1 });
    const [row] = await sql`select current_setting('work_mem') as memory, current_setting('DateStyle') as style`;
    await sql.end();
    expect(row).toEqual({ memory: '7MB', style: 'ISO, YMD' });
  });

  test('a process opens no more connections than connection_limit allows', async () => {
    const db = openDatabase({ url: at({ query: 'connection_limit=4&application_name=few' }) });
    const other = postgresClient(server.url, { max: 1 });
    try {
      const statements = Array.from({ length: 20 }, () => [
        db.read.execute('select pg_sleep(0.01)'),
        db.write.execute('select pg_sleep(0.01)'),
      ]);
      await Promise.all(statements.flat());
      const [row] = await other`select count(*)::int as count from pg_stat_activity where application_name = 'few'`;
      expect(row).toEqual({ count: 2 }); // the other two are for invalidation
    } finally {
      await Promise.all([db.close(), other.end()]);
    }
  });

  test.each([
    ['another database', { path: '/none' }, 'database "none" does not exist'],
    ['a wrong password', { query: 'password=wrong' }, 'the password of the user "postgres" is wrong'],
    ['a host that is none', { host: 'none.invalid' }, 'Postgres at none.invalid:5432: there is no host "none.invalid"'],
    ['a port that is closed', { host: '127.0.0.1:1' }, 'Postgres at 127.0.0.1:1: no server listens there'],
    [
      'a socket that is none',
      { host: '', query: 'host=/nowhere' },
      'Postgres at /nowhere/.s.PGSQL.5432: there is no such socket',
    ],
  ])('a URL with %s is refused in one line', async (_, change, message) => {
    expect(await refusal(at(change))).toContain(message);
  });

  test('a server that does not answer is refused in time', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    expect(await refusal(at({ host: `127.0.0.1:${port}`, query: 'connect_timeout=1' }))).toContain(
      'does not answer within 1 s',
    );
    silent.close();
  });

  describe.runIf(hasOpenssl)('with a self-signed certificate', () => {
    const cert = () => encodeURIComponent(join(directory, 'server.crt'));

    test.each([
      ['', false],
      ['sslmode=disable', false],
      ['sslmode=prefer', true],
      ['sslmode=require', true],
      ['sslmode=require&channel_binding=prefer', true],
      ['sslmode=require&sslnegotiation=direct', true],
    ])('with "%s" TLS is used: %s', async (query, tls) => {
      expect(await usesTls(at({ query }))).toBe(tls);
    });

    test('a server is trusted where its certificate is the root, and only under the name in it', async () => {
      expect(await usesTls(at({ query: `sslmode=verify-ca&sslrootcert=${cert()}` }))).toBe(true);
      expect(await refusal(at({ query: `sslmode=verify-full&sslrootcert=${cert()}` }))).toContain(
        'certificate is not accepted',
      );
    });

    test.each(['sslmode=verify-ca', 'sslmode=verify-full', 'sslmode=require&channel_binding=require'])(
      'a server whose certificate cannot be verified is refused with %s',
      async (query) => {
        expect(await refusal(at({ query }))).toContain('its certificate is not accepted: self');
      },
    );
  });
});

test('a server without TLS is refused where the URL asks for TLS', async () => {
  const database = await createEmptyDatabase();
  try {
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      expect(await refusal(`${database.url}?sslmode=${mode}`)).toContain('it offers no TLS, which sslmode asks for');
    }
    await requireDatabase(`${database.url}?sslmode=prefer`);
  } finally {
    await database.drop();
  }
});
