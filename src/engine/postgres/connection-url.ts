/**
 * Reads DATABASE_URL as psql, Prisma and hosting providers write it. Every parameter is understood, translated or
 * refused by name: the driver would send an unknown one to Postgres as a session setting. Source: the PostgreSQL
 * manual, "Connection URIs" and "Parameter Key Words"; Prisma's manual, "PostgreSQL connector".
 */
import { existsSync } from 'node:fs';
import { ConnectionUrlError, fault } from './connection-fault.js';
import { type Drafts, ENCODE, type HostAndPort, PARAMETERS, portNumber } from './connection-parameters.js';
import { type TlsSettings, tlsSettings } from './connection-tls.js';

export { ConnectionUrlError } from './connection-fault.js';

const DEFAULT_PORT = 5432;
const CONNECT_TIMEOUT_S = 5;
const KEEP_ALIVE_S = 60;
/** The directories in which Debian and the source distribution put the socket of a server on DEFAULT_PORT. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

export interface Connection {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** The Unix socket, in place of host and port. */
  readonly socketPath: string | undefined;
  /** Absent: PGUSER, PGPASSWORD, PGDATABASE, or the driver's default. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly tls: TlsSettings;
  /** TLS from the first byte, without a request to the server first. */
  readonly tlsDirect: boolean;
  /** A pooler in transaction mode is in between: session state does not outlive a transaction. */
  readonly pooled: boolean;
  /** Whether statements may be prepared under a name. */
  readonly prepare: boolean;
  /** The most connections that the process opens. Absent: the default pool sizes. */
  readonly maxConnections: number | undefined;
  readonly connectTimeoutS: number;
  /** Silence in seconds after which TCP probes a connection; 0: never. */
  readonly keepAliveS: number;
  readonly maxLifetimeS: number | undefined;
  readonly idleTimeoutS: number | undefined;
  readonly applicationName: string;
  /** Further settings for the server, as `-c name=value …`. */
  readonly options: string | undefined;
  /** Names of parameters that have no effect here, for the log. */
  readonly withoutEffect: readonly string[];
}

/** @throws ConnectionUrlError */
export function parseConnectionUrl(url: string): Connection {
  const [, userInfo, hostPart = '', databasePart = '', query = ''] =
    /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(url) ??
    fault(`expected a URL like postgres://user:password@host:${DEFAULT_PORT}/database`);
  if (`${hostPart}${databasePart}`.includes('@')) fault(ENCODE);
  const drafts: Drafts = { connection: {}, tls: {}, withoutEffect: [] };
  const { connection } = drafts;
  const [, user, password] = /^([^:]*)(?::(.*))?$/s.exec(userInfo ?? '') ?? [];
  connection.user = decoded('user', user);
  connection.password = decoded('password', password);
  connection.database = decoded('database', databasePart);
  Object.assign(connection, hostAndPort(hostPart));
  for (const [name, value] of parameters(query)) applyParameter(drafts, name, value);
  return finished(drafts);
}

function hostAndPort(text: string): HostAndPort {
  if (text.includes(',')) fault('expected one host: name the primary, or a proxy that follows it');
  const [, v6, name, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(text) ?? [];
  if (v6 === undefined && name === undefined) fault(`host: expected a name or an address; ${ENCODE}`);
  return { host: v6 ?? decoded('host', name), ...(port && { port: portNumber(port) }) };
}

function decoded(part: string, text: string | undefined): string | undefined {
  if (!text) return undefined;
  try {
    return withoutNul(part, decodeURIComponent(text));
  } catch (error) {
    if (error instanceof ConnectionUrlError) throw error;
    return fault(`${part}: expected percent-encoded UTF-8; a plain % is written %25`);
  }
}

/** A NUL ends a value in the startup message, so the server would read the rest as another parameter. */
function withoutNul(part: string, text: string): string {
  return text.includes('\0') ? fault(`${part}: expected no NUL character`) : text;
}

/** Decoded as in libpq: `+` is a plus, and the last of equal names counts. */
function parameters(query: string): Map<string, string> {
  const given = new Map<string, string>();
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const [, name = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(pair) ?? [];
    const key = decoded('parameters', name);
    if (key !== undefined) given.set(key, decoded(key, value) ?? '');
  }
  return given;
}

function applyParameter(drafts: Drafts, name: string, value: string): void {
  const apply = PARAMETERS.get(name);
  if (apply === undefined) fault(`${name} is not a parameter that is known here: remove it`);
  if (value !== '') apply(value, drafts, name);
}

function finished({ connection, tls, withoutEffect }: Drafts): Connection {
  const port = connection.port ?? DEFAULT_PORT;
  const host = connection.host || defaultHost(port);
  if (host.includes(',')) fault('host: expected one host: name the primary, or a proxy that follows it');
  const socketPath = host.startsWith('/') ? socketIn(host, port) : undefined;
  const pooled = connection.pooled ?? false;
  if (pooled && connection.options !== undefined) fault('options: a pooler cannot pass it on: remove it or pgbouncer');
  const tlsMode = tlsSettings(tls, { host, isSocket: socketPath !== undefined });
  if (tls.direct && (tlsMode === false || tlsMode === 'prefer')) {
    fault('sslnegotiation: direct needs sslmode=require, verify-ca or verify-full');
  }
  return {
    host,
    port,
    socketPath,
    user: connection.user,
    password: connection.password,
    database: connection.database,
    tls: tlsMode,
    tlsDirect: tls.direct ?? false,
    pooled,
    prepare: !pooled && (connection.prepare ?? true),
    maxConnections: connection.maxConnections,
    connectTimeoutS: connection.connectTimeoutS ?? CONNECT_TIMEOUT_S,
    keepAliveS: connection.keepAliveS ?? KEEP_ALIVE_S,
    maxLifetimeS: connection.maxLifetimeS,
    idleTimeoutS: connection.idleTimeoutS,
    applicationName: connection.applicationName ?? 'tasks-api',
    options: connection.options,
    withoutEffect,
  };
}

function socketIn(directory: string, port: number): string {
  return `${directory}/.s.PGSQL.${port}`;
}

/** Like psql without a host: the server of this computer, by its socket if there is one. */
function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(socketIn(directory, port))) ?? 'localhost';
}
