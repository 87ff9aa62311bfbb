/** What an application says of its cache, and the check of it. */
import type { CacheOptions, Log } from '../cache/index.js';
import type { DrizzleDatabase } from '../postgres/own-drizzle.js';
import type { TableRowSets } from '../postgres/row-sets.js';
import type { RedisClient } from '../redis/client-place.js';

/** A cache without a database: for `memoize`, and `read` with a TTL. */
export interface StandaloneOptions extends Pick<CacheOptions, 'maxLoads'> {
  /**
   * `redis://` or `rediss://` with user, password and database, or an ioredis client, to whose server the cache opens
   * three connections of its own. Absent: the cache is kept in the memory of this process, for this process.
   */
  readonly redis?: string | RedisClient;
  /**
   * Names this application's keys: letters, digits, `-` and `_`. One group is for one application and one database.
   * Default `cache`.
   */
  readonly group?: string;
  /** How long one call of Redis may take before a reader goes to the source, ms. Default 250. */
  readonly redisTimeoutMs?: number;
  /** Memory for parsed entries in this process, bytes; what is served from it is frozen. 0: none. Default 0. */
  readonly nearCacheBytes?: number;
  /**
   * Names the viewer of a GraphQL request, for policies with the scope `viewer`. Undefined for an anonymous request, in
   * which such a field is an error.
   */
  readonly viewer?: (context: unknown) => string | undefined;
  /** Which requests may have a trace (`x-cache-trace: 1`). Default: all, but none while NODE_ENV is `production`. */
  readonly trace?: boolean | ((context: unknown) => boolean);
  /**
   * Checks that a cached load reads only what its tags follow, and that a cached method uses only the fields of its
   * parent that its key names; both throw. Default: true, but false while NODE_ENV is `production`.
   */
  readonly check?: boolean;
  /** Where to report what an operator should know; pino fits. Default: warnings go to `console.warn`. */
  readonly log?: Log;
}

/** A cache of a database. */
export interface DatabaseOptions<Db extends DrizzleDatabase>
  extends StandaloneOptions,
    Pick<CacheOptions, 'fencePolicy' | 'monitorShare'> {
  /** The application's Drizzle over postgres.js or over a Pool of pg, connected to the primary. */
  readonly db: Db;
  /** The row sets of every table that something cached reads. */
  readonly tables: readonly TableRowSets[];
  /**
   * Whether this process applies the outbox and renews the lease. False where another process of this group and
   * database always does: without one nothing is cached. Default true; any number of processes may.
   */
  readonly relay?: boolean;
}

type Options = Partial<DatabaseOptions<DrizzleDatabase>>;

const optional = (check: (value: unknown) => boolean) => (value: unknown) => value === undefined || check(value);
const isNumber =
  (min: number, max = Number.POSITIVE_INFINITY) =>
  (value: unknown) =>
    typeof value === 'number' && value >= min && value <= max;
const isFunction = (value: unknown) => typeof value === 'function';
const isBoolean = (value: unknown) => typeof value === 'boolean';
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const isRowSets = (value: unknown) => isObject(value) && 'specs' in value && 'definition' in value;

/** The value that each option expects. Other names are refused, since most are misspelt. */
const FIELDS: Readonly<Record<keyof Options, readonly [expected: string, check: (value: unknown) => boolean]>> = {
  redis: [
    'a redis:// or rediss:// URL, or an ioredis client',
    optional((value) => isRedisUrl(value) || isObject(value)),
  ],
  group: ['letters, digits, - and _', optional((value) => typeof value === 'string' && /^[\w-]{1,64}$/.test(value))],
  redisTimeoutMs: ['a number of milliseconds, at least 1', optional(isNumber(1))],
  nearCacheBytes: ['a number of bytes, at least 0', optional(isNumber(0))],
  maxLoads: ['a whole number, at least 1', optional((value) => Number.isInteger(value) && isNumber(1)(value))],
  viewer: ['a function of the GraphQL context', optional(isFunction)],
  trace: [
    'a boolean, or a function of the GraphQL context',
    optional((value) => isBoolean(value) || isFunction(value)),
  ],
  check: ['a boolean', optional(isBoolean)],
  log: [
    'an object with debug, info and warn',
    optional((value) => isObject(value) && 'warn' in value && 'info' in value && 'debug' in value),
  ],
  db: [
    "the application's Drizzle",
    optional((value) => isObject(value) && '$client' in value && 'transaction' in value),
  ],
  tables: ['an array of what rowSets() returned', optional((value) => Array.isArray(value) && value.every(isRowSets))],
  relay: ['a boolean', optional(isBoolean)],
  fencePolicy: ["'available' or 'reject'", optional((value) => value === 'available' || value === 'reject')],
  monitorShare: ['a number from 0 to 1', optional(isNumber(0, 1))],
};
const OF_DATABASE = ['tables', 'relay', 'fencePolicy', 'monitorShare'] as const;

/** @throws TypeError that names the field, what is expected and what it got */
export function checkOptions(options: Options): void {
  for (const [name, value] of Object.entries(options)) {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name as keyof Options] : undefined;
    if (field === undefined)
      throw new TypeError(`createCache: ${name} is no option; expected ${Object.keys(FIELDS).join(', ')}`);
    const [expected, check] = field;
    if (!check(value)) throw new TypeError(`createCache: ${name}: expected ${expected}, got ${shown(value)}`);
  }
  if (options.db !== undefined && options.tables === undefined) {
    throw new TypeError(
      'createCache: tables: expected the row sets of every table that something cached reads, got nothing',
    );
  }
  const alone = options.db === undefined ? OF_DATABASE.find((name) => options[name] !== undefined) : undefined;
  if (alone !== undefined) throw new TypeError(`createCache: ${alone}: expected only together with db`);
}

function isRedisUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol, pathname } = new URL(value);
  return /^rediss?:$/.test(protocol) && /^\/?\d{0,6}$/.test(pathname);
}

/** What a URL holds besides its beginning may be a password. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.replace(/\/\/[^@]*@/, '//…@'));
  return isObject(value) || isFunction(value) ? `a ${value?.constructor.name ?? typeof value}` : String(value);
}
