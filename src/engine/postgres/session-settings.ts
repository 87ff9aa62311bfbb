/**
 * The session settings that the code relies on. A database or a role may set any of them otherwise, so a direct
 * connection sends them when it starts. Through a pooler a connection cannot set them: the server must have acceptable
 * values, which are checked at start.
 */
import { MINUTE, SECOND } from '../cache/time.js';

/**
 * A statement that takes longer is an error of the application or a sign of overload; its connection is needed for
 * others.
 */
export const STATEMENT_TIMEOUT_MS = 30 * SECOND;
/** More than a write waits for Redis before its COMMIT. */
const MIN_IDLE_IN_TRANSACTION_MS = 10 * SECOND;

export interface SessionSetting {
  readonly name: string;
  /** In the unit of pg_settings. Absent: only checked, since it needs a superuser or a newer version. */
  readonly value?: string;
  /** Whether another value is acceptable. `value` always is. */
  readonly accepts?: (value: string) => boolean;
  /** The value that an operator sets, as SQL. Default: `value`. */
  readonly fix?: string;
  /** For the operator: why the code needs it. */
  readonly why: string;
}

const unlimitedOr = (minMs: number) => (value: string) => value === '0' || Number(value) >= minMs;
const ZONES_OF_UTC = /^(Etc\/)?(UTC|UCT|GMT|Greenwich|Universal|Zulu|GMT[+-]?0)$/i;

export const SESSION_SETTINGS: readonly SessionSetting[] = [
  {
    name: 'DateStyle',
    value: 'ISO, YMD',
    fix: "'ISO, YMD'",
    accepts: (value) => value.startsWith('ISO'),
    why: 'days and instants are read as ISO text',
  },
  { name: 'IntervalStyle', value: 'postgres', why: 'intervals are written in this style' },
  {
    name: 'TimeZone',
    value: 'UTC',
    accepts: (value) => ZONES_OF_UTC.test(value),
    why: 'an instant must always be the same text',
  },
  { name: 'client_encoding', value: 'UTF8', why: 'texts are sent and read as UTF-8' },
  { name: 'standard_conforming_strings', value: 'on', why: 'a backslash in a literal is a backslash' },
  { name: 'bytea_output', value: 'hex', why: 'bytes are read as hexadecimal text' },
  {
    name: 'extra_float_digits',
    value: '1',
    accepts: (value) => Number(value) >= 1,
    why: 'a number must be read as it is stored',
  },
  { name: 'array_nulls', value: 'on', why: 'NULL in an array is a null, not a text' },
  { name: 'transform_null_equals', value: 'off', why: 'a comparison with null is never true' },
  {
    // Checked by its effect, since "$user" names no schema on most servers.
    name: 'search_path',
    value: 'public, pg_temp',
    fix: 'public',
    accepts: (value) => /^public(,|$)/.test(value),
    why: 'the tables are in the schema public',
  },
  {
    name: 'default_transaction_isolation',
    value: 'read committed',
    fix: "'read committed'",
    why: 'a write must see what others committed while it waited for their locks',
  },
  { name: 'default_transaction_read_only', value: 'off', why: 'this server writes' },
  { name: 'default_transaction_deferrable', value: 'off', why: 'a snapshot must not wait for all writers' },
  {
    name: 'synchronous_commit',
    value: 'on',
    accepts: (value) => value !== 'off',
    why: 'a commit that was acknowledged must outlive a crash of the server, or the cache keeps what is lost',
  },
  {
    name: 'row_security',
    value: 'off',
    accepts: (value) => value === 'on',
    why: 'rows that a policy hides must be an error; cached, they would be missing for every viewer',
  },
  { name: 'gin_fuzzy_search_limit', value: '0', why: 'a search must find all rows' },
  {
    name: 'lock_timeout',
    value: '0',
    accepts: unlimitedOr(STATEMENT_TIMEOUT_MS),
    why: 'writes wait for each other',
  },
  {
    name: 'idle_in_transaction_session_timeout',
    value: String(MINUTE),
    accepts: unlimitedOr(MIN_IDLE_IN_TRANSACTION_MS),
    why: 'a write may wait for Redis before its COMMIT',
  },
  {
    name: 'idle_session_timeout',
    value: '0',
    accepts: unlimitedOr(MINUTE),
    why: 'connections are kept open between requests',
  },
  {
    name: 'transaction_timeout', // since PostgreSQL 17
    fix: '0',
    accepts: unlimitedOr(MINUTE),
    why: 'an import is one transaction',
  },
  {
    name: 'session_replication_role',
    fix: 'origin',
    accepts: (value) => value === 'origin' || value === 'local',
    why: 'foreign keys are not checked otherwise',
  },
];

/** The settings that a direct connection sends when it starts. */
export function startupSettings(statementTimeoutMs: number): Record<string, string> {
  const sent = SESSION_SETTINGS.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]));
  return Object.fromEntries([...sent, ['statement_timeout', String(statementTimeoutMs)]]);
}

/** Sets the statement timeout for the rest of a transaction, which works through a pooler, ms. 0: none. */
export function transactionSettings(statementTimeoutMs: number): string {
  return `set local statement_timeout = ${statementTimeoutMs}`;
}

/**
 * Selects `name` and `value` of each setting in this session, except those that this version of Postgres does not have.
 */
export const SELECT_SETTINGS = `
  select name, case name when 'search_path' then array_to_string(current_schemas(false), ', ') else setting end as value
  from pg_catalog.pg_settings
  where name in (${[...SESSION_SETTINGS.map(({ name }) => name), 'statement_timeout'].map((name) => `'${name}'`).join(', ')})`;

const STATEMENT_TIMEOUT: SessionSetting = {
  name: 'statement_timeout',
  fix: '0',
  accepts: unlimitedOr(STATEMENT_TIMEOUT_MS),
  why: `statements are given ${STATEMENT_TIMEOUT_MS / SECOND} s`,
};

/**
 * The first setting that the code cannot work with.
 * @param statementTimeout whether to check that setting too: a direct connection sends its own
 */
export function unusableSetting(
  settings: readonly { readonly name: string; readonly value: string }[],
  { statementTimeout }: { statementTimeout: boolean },
): { readonly setting: SessionSetting; readonly value: string } | undefined {
  const values = new Map(settings.map(({ name, value }) => [name, value]));
  for (const setting of statementTimeout ? [...SESSION_SETTINGS, STATEMENT_TIMEOUT] : SESSION_SETTINGS) {
    const value = values.get(setting.name);
    if (value === undefined || value === setting.value || setting.accepts?.(value)) continue;
    return { setting, value };
  }
  return undefined;
}
