/** The parameters of a connection URL, by name: what each means here, or why it is refused. */
import { fault } from './connection-fault.js';
import { type TlsWish, tlsMode } from './connection-tls.js';

export const ENCODE = 'characters such as @ / ? : % in a user or password must be percent-encoded, like %40 for @';

type Draft<T> = { -readonly [K in keyof T]?: T[K] | undefined };

export interface HostAndPort {
  readonly host?: string | undefined;
  readonly port?: number;
}

/** What a URL says, before defaults. */
export interface Drafts {
  readonly connection: Draft<
    HostAndPort & {
      readonly user: string;
      readonly password: string;
      readonly database: string;
      readonly pooled: boolean;
      readonly prepare: boolean;
      readonly maxConnections: number;
      readonly connectTimeoutS: number;
      readonly keepAliveS: number;
      readonly maxLifetimeS: number;
      readonly idleTimeoutS: number;
      readonly applicationName: string;
      readonly options: string;
    }
  >;
  readonly tls: { -readonly [K in keyof TlsWish]: TlsWish[K] };
  /** Names of parameters that change nothing here. */
  readonly withoutEffect: string[];
}

const MAX_PORT = 65_535;

const MAX_CONNECTIONS = 1000;
const MAX_CONNECT_TIMEOUT_S = 60;
const MAX_SECONDS = 86_400;

/** @throws ConnectionUrlError */
type Apply = (value: string, drafts: Drafts, name: string) => void;

/** The parameters of libpq and of Prisma, and those that providers append. */
export const PARAMETERS: ReadonlyMap<string, Apply> = new Map<string, Apply>(
  Object.entries({
    host: text('host'),
    port: (value, { connection }) => {
      connection.port = portNumber(value);
    },
    user: text('user'),
    password: text('password'),
    dbname: text('database'),
    application_name: text('applicationName'),
    fallback_application_name: (value, { connection }) => {
      connection.applicationName ??= value;
    },
    options: text('options'),
    connect_timeout: seconds('connectTimeoutS', { min: 1, max: MAX_CONNECT_TIMEOUT_S }),
    keepalives_idle: seconds('keepAliveS', { min: 0, max: MAX_SECONDS }),
    max_connection_lifetime: seconds('maxLifetimeS', { min: 1, max: MAX_SECONDS }),
    max_idle_connection_lifetime: seconds('idleTimeoutS', { min: 1, max: MAX_SECONDS }),
    keepalives: (value, { connection }, name) => {
      if (!flag(name, value)) connection.keepAliveS = 0;
    },
    connection_limit: (value, { connection }, name) => {
      connection.maxConnections = whole(name, value, { min: 1, max: MAX_CONNECTIONS }, 'connections');
    },
    pgbouncer: (value, { connection }, name) => {
      connection.pooled = flag(name, value);
    },
    statement_cache_size: (value, { connection, withoutEffect }, name) => {
      if (value === '0') connection.prepare = false;
      else withoutEffect.push(name);
    },
    schema: only(['public'], 'the tables are in the schema public'),
    client_encoding: only(['UTF8', 'UTF-8', 'utf8', 'utf-8', 'auto'], 'texts are UTF-8'),
    target_session_attrs: only(['any', 'read-write', 'primary'], 'this server writes'),
    gssencmode: only(['disable', 'prefer'], 'connections are encrypted by TLS'),
    channel_binding: (value, { tls }, name) => {
      requireOneOf(name, value, ['disable', 'prefer', 'require']);
      tls.bound = value === 'require';
    },
    sslmode: (value, { tls }, name) => {
      tls.mode = tlsMode(name, value);
    },
    ssl: (value, { tls }, name) => {
      tls.mode = flag(name, value) ? 'require' : 'disable';
    },
    sslaccept: (value, { tls }, name) => {
      requireOneOf(name, value, ['strict', 'accept_invalid_certs']);
      if (value === 'strict') tls.mode = 'verify-full';
    },
    sslrootcert: tlsText('rootCert'),
    sslcert: tlsText('cert'),
    sslkey: tlsText('key'),
    sslpassword: tlsText('keyPassword'),
    sslnegotiation: (value, { tls }, name) => {
      requireOneOf(name, value, ['postgres', 'direct']);
      tls.direct = value === 'direct';
    },
    ssl_min_protocol_version: (value, { tls }, name) => {
      requireOneOf(name, value, ['TLSv1.2', 'TLSv1.3']);
      tls.minVersion = value as 'TLSv1.2' | 'TLSv1.3';
    },
    ...each(
      [
        'pool_timeout',
        'socket_timeout',
        'keepalives_interval',
        'keepalives_count',
        'tcp_user_timeout',
        'sslsni',
        'sslcompression',
        'supa',
      ],
      (_, { withoutEffect }, name) => withoutEffect.push(name),
    ),
    passfile: refused('write the password into the URL, or set PGPASSWORD'),
    ...each(['service', 'servicefile'], refused('write host, database and user into the URL')),
    hostaddr: refused('write the address as the host'),
    replication: refused('this server reads and writes tables'),
    ...each(['sslcrl', 'sslcrldir', 'sslidentity', 'sslcertmode', 'ssl_max_protocol_version'], refused('remove it')),
    ...each(['requirepeer', 'require_auth', 'krbsrvname', 'gsslib', 'gssdelegation'], refused('remove it')),
    ...each(
      ['load_balance_hosts', 'min_protocol_version', 'max_protocol_version', 'sslkeylogfile', 'scram_client_key'],
      refused('remove it'),
    ),
  } satisfies Record<string, Apply>),
);

/** @throws ConnectionUrlError */
export function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= MAX_PORT) return port;
  return fault(`port: expected a number from 1 to ${MAX_PORT}, behind an IPv6 address in brackets; ${ENCODE}`);
}

function each(names: readonly string[], apply: Apply): Record<string, Apply> {
  return Object.fromEntries(names.map((name) => [name, apply]));
}

type Texts = 'host' | 'user' | 'password' | 'database' | 'applicationName' | 'options';
function text(field: Texts): Apply {
  return (value, { connection }) => {
    connection[field] = value;
  };
}

function tlsText(field: 'rootCert' | 'cert' | 'key' | 'keyPassword'): Apply {
  return (value, { tls }) => {
    tls[field] = value;
  };
}

type Seconds = 'connectTimeoutS' | 'keepAliveS' | 'maxLifetimeS' | 'idleTimeoutS';
function seconds(field: Seconds, range: Range): Apply {
  return (value, { connection }, name) => {
    connection[field] = whole(name, value, range, 'seconds');
  };
}

interface Range {
  readonly min: number;
  readonly max: number;
}

function whole(name: string, value: string, { min, max }: Range, what: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= min && number <= max) return number;
  return fault(`${name}: expected ${min} to ${max} ${what}, got ${JSON.stringify(value)}`);
}

function flag(name: string, value: string): boolean {
  if (['true', '1', 'on', 'yes'].includes(value)) return true;
  if (['false', '0', 'off', 'no'].includes(value)) return false;
  return fault(`${name}: expected true or false, got ${JSON.stringify(value)}`);
}

function only(accepted: readonly string[], why: string): Apply {
  return (value, _, name) => requireOneOf(name, value, accepted, `: ${why}`);
}

function requireOneOf(name: string, value: string, accepted: readonly string[], why = ''): void {
  if (accepted.includes(value)) return;
  const expected = accepted.length === 1 ? accepted[0] : `one of ${accepted.join(', ')}`;
  fault(`${name}: expected ${expected}, got ${JSON.stringify(value)}${why}`);
}

function refused(instead: string): Apply {
  return (_, __, name) => fault(`${name} is not supported: ${instead}`);
}
