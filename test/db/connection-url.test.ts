import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PARAMETERS } from '../../src/engine/postgres/connection-parameters.js';
import { ConnectionUrlError, parseConnectionUrl } from '../../src/engine/postgres/connection-url.js';

const BASE = 'postgres://ada:secret@db.example/tasks';
const withQuery = (query: string) => parseConnectionUrl(`${BASE}?${query}`);

function faultOf(url: string): string {
  try {
    parseConnectionUrl(url);
  } catch (error) {
    if (error instanceof ConnectionUrlError) return error.message;
    throw error;
  }
  return 'no fault';
}

describe('the parts of a URL', () => {
  test.each([
    [BASE, { host: 'db.example', port: 5432, user: 'ada', password: 'secret', database: 'tasks' }],
    ['postgresql://db.example:6543/tasks', { host: 'db.example', port: 6543, user: undefined, database: 'tasks' }],
    ['postgres://ada@db.example', { user: 'ada', password: undefined, database: undefined }],
    ['postgres://ada@[::1]:5433/tasks', { host: '::1', port: 5433 }],
    ['postgres://ada@[2001:db8::7]/tasks', { host: '2001:db8::7', port: 5432 }],
    ['postgres://a%40b:p%2F%3A%3F%25%C3%A9@db/t%20x', { user: 'a@b', password: 'p/:?%é', database: 't x' }],
    ['postgres://ada:a:b#c@db/tasks', { user: 'ada', password: 'a:b#c' }],
    ['postgres://ada@%2Fvar%2Frun%2Fpostgresql/tasks', { socketPath: '/var/run/postgresql/.s.PGSQL.5432' }],
    ['postgres://ada@localhost/tasks?host=/run/pg&port=5433', { socketPath: '/run/pg/.s.PGSQL.5433', tls: false }],
    [
      'postgresql:///tasks?host=db.example&user=ada&password=x%26y',
      { host: 'db.example', user: 'ada', password: 'x&y' },
    ],
    ['postgresql:///?dbname=tasks&host=::1', { host: '::1', database: 'tasks' }],
    [`${BASE}?`, { database: 'tasks' }],
    [`${BASE}?schema=&connect_timeout=`, { database: 'tasks', connectTimeoutS: 5 }],
  ])('%s is read as libpq reads it', (url, expected) => {
    expect(parseConnectionUrl(url)).toMatchObject(expected);
  });

  test('a URL without a host means the server of this computer', () => {
    const { host, socketPath } = parseConnectionUrl('postgresql:///tasks?port=1');
    expect([host, socketPath]).toEqual(['localhost', undefined]); // no socket has that port
  });

  test.each([
    ['mysql://db/tasks', 'expected a URL like postgres://'],
    ['db.example:5432/tasks', 'expected a URL like postgres://'],
    ['postgres://ada:p@ss@db/tasks', '%40 for @'],
    ['postgres://ada:p/ss@db/tasks', 'percent-encoded'],
    ['postgres://ada:p%zz@db/tasks', 'password: expected percent-encoded'],
    ['postgres://ada%00@db/tasks', 'user: expected no NUL'],
    ['postgres://ada@db:0/tasks', 'port: expected'],
    ['postgres://ada@db:65536/tasks', 'port: expected'],
    ['postgres://ada@::1/tasks', 'IPv6 address in brackets'],
    ['postgres://ada@a:1,b:2/tasks', 'expected one host'],
    ['postgres://ada@/tasks?host=a,b', 'host: expected one host'],
  ])('%s is refused in one line without the password', (url, message) => {
    expect(faultOf(url)).toContain(message);
    expect(faultOf(url)).not.toMatch(/p@ss|p\/ss|p%zz|\n/);
  });
});

describe('a parameter', () => {
  test.each([
    ['application_name=web-1', { applicationName: 'web-1' }],
    ['fallback_application_name=web', { applicationName: 'web' }],
    ['connect_timeout=12', { connectTimeoutS: 12 }],
    ['keepalives=0', { keepAliveS: 0 }],
    ['keepalives=1&keepalives_idle=20', { keepAliveS: 20 }],
    ['connection_limit=9', { maxConnections: 9 }],
    ['connection_limit=1', { maxConnections: 1 }],
    ['max_connection_lifetime=300', { maxLifetimeS: 300 }],
    ['max_idle_connection_lifetime=30', { idleTimeoutS: 30 }],
    ['pgbouncer=true', { pooled: true, prepare: false }],
    ['pgbouncer=false', { pooled: false, prepare: true }],
    ['statement_cache_size=0', { pooled: false, prepare: false }],
    ['options=-c%20work_mem%3D64MB', { options: '-c work_mem=64MB' }],
    ['options=endpoint%3Dep-cool-1', { options: 'endpoint=ep-cool-1' }],
    ['schema=public', { withoutEffect: [] }],
    ['target_session_attrs=read-write', { withoutEffect: [] }],
    ['client_encoding=utf8&gssencmode=prefer', { withoutEffect: [] }],
    [
      'pool_timeout=10&socket_timeout=3&keepalives_count=3',
      { withoutEffect: ['pool_timeout', 'socket_timeout', 'keepalives_count'] },
    ],
    ['statement_cache_size=100', { withoutEffect: ['statement_cache_size'], prepare: true }],
    ['supa=base-pooler.x', { withoutEffect: ['supa'] }],
  ])('the parameter %s is understood', (query, expected) => {
    expect(withQuery(query)).toMatchObject(expected);
  });

  test.each([
    ['schema=app', 'schema: expected public, got "app"'],
    ['pgbouncer=maybe', 'pgbouncer: expected true or false'],
    ['pgbouncer=true&options=-c%20x%3Dy', 'options: a pooler cannot pass it on'],
    ['connection_limit=0', 'connection_limit: expected 1 to 1000 connections, got "0"'],
    ['connect_timeout=0', 'connect_timeout: expected 1 to 60 seconds'],
    ['connect_timeout=1.5', 'connect_timeout: expected 1 to 60 seconds'],
    ['target_session_attrs=standby', 'target_session_attrs: expected one of any, read-write, primary'],
    ['client_encoding=LATIN1', 'client_encoding: expected one of UTF8'],
    ['gssencmode=require', 'gssencmode: expected one of disable, prefer'],
    ['sslmode=verify', 'sslmode: expected one of disable, allow, prefer, require, verify-ca, verify-full'],
    ['channel_binding=yes', 'channel_binding: expected one of disable, prefer, require'],
    ['channel_binding=require&sslmode=disable', 'channel_binding: require needs TLS'],
    ['sslnegotiation=direct&sslmode=prefer', 'sslnegotiation: direct needs sslmode=require'],
    ['sslmode=require&sslcert=/nowhere.crt', 'sslcert, sslkey: expected both or none'],
    ['sslmode=verify-ca&sslrootcert=/nowhere.pem', 'sslrootcert: cannot read /nowhere.pem: ENOENT'],
    ['passfile=/root/.pgpass', 'passfile is not supported: write the password into the URL, or set PGPASSWORD'],
    ['service=prod', 'service is not supported'],
    ['hostaddr=10.0.0.1', 'hostaddr is not supported: write the address as the host'],
    ['sslcrl=/x', 'sslcrl is not supported'],
    ['replication=database', 'replication is not supported'],
    ['search_path=app', 'search_path is not a parameter that is known here: remove it'],
    ['statement_timeout=1', 'statement_timeout is not a parameter that is known here'],
    ['toString=1', 'toString is not a parameter that is known here'],
    ['application_name=a%00DateStyle%00German', 'application_name: expected no NUL'],
  ])('the parameter %s is refused by its name', (query, message) => {
    expect(faultOf(`${BASE}?${query}`)).toContain(message);
    expect(faultOf(`${BASE}?${query}`)).not.toContain('secret');
  });
});

describe('TLS', () => {
  /** Whether it is used, whether the certificate must be valid, whether it must name the host. */
  function tlsOf(url: string): unknown {
    const { tls } = parseConnectionUrl(url);
    if (typeof tls !== 'object') return tls;
    const otherHost = tls.checkServerIdentity?.('', { subject: { CN: 'other.example' } } as never);
    return { valid: tls.rejectUnauthorized, named: otherHost !== undefined };
  }

  test.each([
    ['', 'prefer'],
    ['sslmode=disable', false],
    ['sslmode=allow', 'prefer'],
    ['sslmode=prefer', 'prefer'],
    ['sslmode=require', { valid: false, named: false }],
    ['ssl=true', { valid: false, named: false }],
    ['sslmode=verify-ca', { valid: true, named: false }],
    ['sslmode=verify-full', { valid: true, named: true }],
    ['sslmode=require&sslaccept=strict', { valid: true, named: true }],
    ['sslmode=require&sslaccept=accept_invalid_certs', { valid: false, named: false }],
    ['sslmode=require&channel_binding=prefer', { valid: false, named: false }],
    ['sslmode=require&channel_binding=require', { valid: true, named: true }],
    ['sslrootcert=system', { valid: true, named: true }],
    ['sslmode=require&sslnegotiation=direct', { valid: false, named: false }],
  ])('with "%s" TLS is used and the certificate checked as in libpq', (query, expected) => {
    expect(tlsOf(`${BASE}?${query}`)).toEqual(expected);
  });

  test('TLS is not used for a server on this computer unless the URL says so', () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]']) expect(tlsOf(`postgres://ada@${host}/tasks`)).toBe(false);
    expect(tlsOf('postgres://ada@localhost/tasks?sslmode=require')).toEqual({ valid: false, named: false });
    expect(tlsOf('postgres://ada@localhost/tasks?host=/tmp&sslmode=require')).toBe(false);
  });

  test('sslmode=require with a root certificate verifies the certificate, as in libpq', async () => {
    const file = join(tmpdir(), `tasks-root-${process.pid}.pem`);
    await writeFile(file, 'a certificate');
    const { tls } = withQuery(`sslmode=require&sslrootcert=${encodeURIComponent(file)}`);
    expect(tls).toMatchObject({ ca: Buffer.from('a certificate'), rejectUnauthorized: true });
  });

  test('the client presents its own certificate where the URL names one', async () => {
    const file = join(tmpdir(), `tasks-cert-${process.pid}.pem`);
    await writeFile(file, 'of the client');
    const path = encodeURIComponent(file);
    const { tls } = withQuery(
      `sslmode=require&sslcert=${path}&sslkey=${path}&sslpassword=x&ssl_min_protocol_version=TLSv1.3`,
    );
    const read = Buffer.from('of the client');
    expect(tls).toMatchObject({ cert: read, key: read, passphrase: 'x', minVersion: 'TLSv1.3' });
  });
});

test('docs/postgres.md lists every parameter that is not refused', async () => {
  const page = await readFile(new URL('../../docs/postgres.md', import.meta.url), 'utf8');
  const [, table = ''] = /^\| parameter \|(.*?)^\n/ms.exec(page) ?? [];
  const listed = table.split('\n').flatMap((row) => (row.split('|')[1] ?? '').match(/\w+/g) ?? []);
  const accepted = [...PARAMETERS.keys()].filter((name) => !faultOf(`${BASE}?${name}=x`).includes('is not supported'));
  expect(listed.sort()).toEqual(accepted.sort());
});
