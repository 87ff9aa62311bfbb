/**
 * Reads the environment once and checks it as a whole: one message reports every invalid or missing variable. In
 * production no default can hide a mistake; elsewhere missing services are started and missing secrets are generated.
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { ConnectionUrlError, type PoolSizes, parseConnectionUrl } from '../engine/postgres/index.js';
import type { RedisPlace } from '../engine/redis/index.js';
import { type AccessConfig, accessConfig, accessFaults, accessVariables } from './access-config.js';
import { ConfigError } from './config-error.js';
import { withSecrets } from './database-passwords.js';
import {
  type ObservationConfig,
  observationConfig,
  observationFaults,
  observationVariables,
} from './observation-config.js';
import { poolConfig, poolFaults, poolVariables } from './pool-sizes.js';
import { keyFaults, redisFaults, redisPlace, redisVariables } from './redis-config.js';
import type { Environment } from './secret-files.js';
import type { ShutdownLimits } from './shutdown.js';
import { subscriptionConfig, subscriptionVariables } from './subscription-config.js';
import type { SubscriptionLimits } from './subscription-limits.js';
import {
  type TelemetryConfig,
  telemetryConfig,
  telemetryVariables,
  withoutUnusedTelemetry,
} from './telemetry-config.js';
import type { TokenConfig } from './token-config.js';

/** HS256 requires a key at least as long as its hash. */
const MIN_SECRET_CHARS = 32;

const urlOf = (...protocols: string[]) =>
  z.url({
    protocol: new RegExp(`^(${protocols.join('|')})$`),
    error: `expected a URL like ${protocols[0]}://host:port/…`,
  });

/** Not `urlOf`: a Postgres URL may have no host, or the directory of a Unix socket instead. */
const databaseUrl = z.string().check((context) => {
  try {
    parseConnectionUrl(context.value);
  } catch (error) {
    if (!(error instanceof ConnectionUrlError)) throw error;
    context.issues.push({ code: 'custom', input: context.value, message: error.message });
  }
});

const previousSecrets = z
  .string()
  .transform((text) => text.split(/\s+/).filter((secret) => secret !== ''))
  .refine(
    (secrets) => secrets.every(({ length }) => length >= MIN_SECRET_CHARS),
    `expected secrets of at least ${MIN_SECRET_CHARS} characters, with white space between`,
  );

const PORT_EXPECTED = 'expected a port, 0 to 65535';

const MAX_WORKERS = 64;
const WORKERS_EXPECTED = `expected a number of processes, 1 to ${MAX_WORKERS}, or auto`;

const MAX_TRASH_DAYS = 3650;
const TRASH_DAYS_EXPECTED = `expected a whole number of days, 1 to ${MAX_TRASH_DAYS}`;
const MAX_HISTORY_DAYS = 36_500;
const HISTORY_DAYS_EXPECTED = `expected a whole number of days, 0 (for ever) to ${MAX_HISTORY_DAYS}`;

const megabytes = (otherwise: number) => {
  const expected = 'expected a number of MiB above 0';
  return z.coerce.number(expected).positive(expected).default(otherwise);
};

const milliseconds = () => {
  const expected = 'expected a whole number of ms, 0 or more';
  return z.coerce.number(expected).int(expected).min(0, expected);
};

/** Load balancers ask for readiness every few seconds. Outside production there are none. */
const PRODUCTION_DELAY_MS = 5000;

export const variables = z.object({
  NODE_ENV: z
    .enum(['development', 'test', 'production'], 'expected development, test or production')
    .default('development'),
  HOST: z.string().min(1, 'expected a host name or address').default('127.0.0.1'),
  PORT: z.coerce
    .number(PORT_EXPECTED)
    .int(PORT_EXPECTED)
    .min(0, PORT_EXPECTED)
    .max(65_535, PORT_EXPECTED)
    .default(4000),
  PUBLIC_URL: urlOf('https', 'http')
    .refine(
      (url) => !/[?#]/.test(url),
      'expected a URL without ? and #: paths such as /tasks/OPS-42 are appended to it',
    )
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  WORKERS: z
    .string()
    .refine((text) => text === 'auto' || (/^\d+$/.test(text) && +text >= 1 && +text <= MAX_WORKERS), WORKERS_EXPECTED)
    .default('1'),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'expected a pino log level: fatal to trace, or silent',
    )
    .optional(),
  LOG_REQUESTS: z.coerce
    .number('expected a share, 0 to 1')
    .min(0, 'expected a share, 0 to 1')
    .max(1, 'expected a share, 0 to 1')
    .default(0),
  SHUTDOWN_DELAY_MS: milliseconds().optional(),
  SHUTDOWN_TIMEOUT_MS: milliseconds().default(20_000),
  DATABASE_URL: databaseUrl.optional(),
  DATABASE_PASSWORD: z.string().optional(),
  MIGRATION_DATABASE_URL: databaseUrl.optional(),
  MIGRATION_DATABASE_PASSWORD: z.string().optional(),
  ...redisVariables,
  FENCE_POLICY: z.enum(['available', 'reject'], 'expected available or reject').default('available'),
  NEAR_CACHE_MB: z.coerce
    .number('expected a number of MiB, 0 for none')
    .min(0, 'expected a number of MiB, 0 for none')
    .default(64),
  ...poolVariables,
  MAX_RESPONSE_MB: megabytes(4),
  MAX_UNREAD_MB: megabytes(64),
  TRASH_DAYS: z.coerce
    .number(TRASH_DAYS_EXPECTED)
    .int(TRASH_DAYS_EXPECTED)
    .min(1, TRASH_DAYS_EXPECTED)
    .max(MAX_TRASH_DAYS, TRASH_DAYS_EXPECTED)
    .default(30),
  HISTORY_DAYS: z.coerce
    .number(HISTORY_DAYS_EXPECTED)
    .int(HISTORY_DAYS_EXPECTED)
    .min(0, HISTORY_DAYS_EXPECTED)
    .max(MAX_HISTORY_DAYS, HISTORY_DAYS_EXPECTED)
    .default(0),
  WEBHOOK_ALLOW_PRIVATE: z.enum(['on', 'off'], 'expected on or off').optional(),
  COMPRESSION: z.enum(['on', 'off'], 'expected on or off').default('on'),
  KNOWN_OPERATIONS: z.enum(['on', 'off'], 'expected on or off').default('on'),
  INTROSPECTION: z.enum(['on', 'off'], 'expected on or off').optional(),
  CONSOLE: z.enum(['on', 'off'], 'expected on or off').optional(),
  PERSISTED_DOCUMENTS: z.string().optional(),
  PERSISTED_DOCUMENTS_MODE: z.enum(['off', 'warn', 'enforce'], 'expected off, warn or enforce').optional(),
  JWT_SECRET: z.string().min(MIN_SECRET_CHARS, `expected at least ${MIN_SECRET_CHARS} characters`).optional(),
  JWT_PREVIOUS_SECRETS: previousSecrets.optional(),
  JWKS_URL: urlOf('https', 'http').optional(),
  EXPORT_SECRET: z.string().min(MIN_SECRET_CHARS, `expected at least ${MIN_SECRET_CHARS} characters`).optional(),
  JWT_ISSUER: z.string().min(1).default('tasks-api'),
  JWT_AUDIENCE: z.string().min(1).default('tasks-api'),
  ...accessVariables,
  ...observationVariables,
  ...subscriptionVariables,
  ...telemetryVariables,
});

export interface Config extends ObservationConfig {
  readonly environment: 'development' | 'test' | 'production';
  readonly host: string;
  readonly port: number;
  /** Address of the web application, without a slash at the end. Absent: the origin that the server listens on. */
  readonly publicUrl: string | undefined;
  /** Processes that serve. 1: this process serves. */
  readonly workers: number;
  readonly logLevel: string;
  /** Share of requests that are logged. */
  readonly loggedRequests: number;
  readonly shutdown: ShutdownLimits;
  /** Absent outside production: a private PostgreSQL is started. */
  readonly databaseUrl: string | undefined;
  /** Migrates, in place of `databaseUrl`. */
  readonly migrationDatabaseUrl: string | undefined;
  /** Connections of this process for requests. */
  readonly pools: PoolSizes;
  /** Absent outside production: a private Redis is started, or the memory store is used. */
  readonly redis: RedisPlace | undefined;
  /** Prefix of this installation's keys in Redis. */
  readonly redisGroup: string;
  /**
   * What a write does while Redis is unreachable or refuses writes: commit anyway and answer after 2 s, or be refused.
   */
  readonly fencePolicy: 'available' | 'reject';
  /** Size of the near cache in bytes; 0 disables it. */
  readonly nearCacheBytes: number;
  /** Maximum number of concurrent loads in this process; others queue. */
  readonly maxLoads: number;
  /** Maximum size of one response in bytes. */
  readonly maxResponseBytes: number;
  /** Maximum total size of responses in this process that clients have not read, in bytes. */
  readonly maxUnreadBytes: number;
  /** How long deleted tasks and projects can be restored. */
  readonly trashDays: number;
  /** How long history is kept; 0: until the task or project is purged. */
  readonly historyDays: number;
  /** Whether webhooks may have addresses of private networks and of this machine. */
  readonly webhookAllowPrivate: boolean;
  /** Whether responses are compressed for clients that accept it. */
  readonly compression: boolean;
  /** Whether operations of known documents are answered without Apollo. */
  readonly knownOperations: boolean;
  /** Whether introspection is answered. */
  readonly introspection: boolean;
  /** Whether the console is served. */
  readonly console: boolean;
  /**
   * A manifest of persisted documents. Other documents are run and reported (`warn`) or refused (`enforce`). Absent: no
   * manifest.
   */
  readonly persistedDocuments: { readonly path: string; readonly mode: 'warn' | 'enforce' } | undefined;
  /** Absent outside production: a secret is generated and stored with the embedded data. */
  readonly tokens: TokenConfig | undefined;
  /** Signs the addresses of exports. Absent: the secret of `tokens`, if that is one. */
  readonly exportSecret: string | undefined;
  readonly issuer: string;
  readonly audience: string;
  readonly access: AccessConfig;
  /** Only the limits that differ from the defaults. */
  readonly subscriptionLimits: Partial<SubscriptionLimits>;
  /** Absent: no traces. */
  readonly telemetry: TelemetryConfig | undefined;
}

/** Also for what cannot be read as a whole. */
export function isProduction(env: Environment): boolean {
  return env['NODE_ENV'] === 'production';
}

/** @throws ConfigError that names every faulty variable and what was expected */
export function readConfig(env: Environment): Config {
  // `FOO=` in an env file means that the variable is not set.
  const { given, faults: fileFaults } = withSecrets(env);
  const parsed = variables.safeParse(withoutUnusedTelemetry(given));
  const faults = [
    ...fileFaults,
    ...(parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)),
    ...missingInProduction(given),
    ...(parsed.success ? [...sizeFaults(parsed.data), ...poolFaults(parsed.data), ...keyFaults(parsed.data)] : []),
    ...(parsed.success ? observationFaults(parsed.data, { host: parsed.data.HOST, port: parsed.data.PORT }) : []),
    ...conflicts(given),
    ...(given['MIGRATION_DATABASE_URL'] && !given['DATABASE_URL']
      ? ['MIGRATION_DATABASE_URL: expected DATABASE_URL beside it']
      : []),
    ...redisFaults(given),
    ...accessFaults(given),
    ...manifestFaults(given),
  ];
  if (faults.length > 0 || !parsed.success)
    throw new ConfigError(`The environment is invalid:\n  ${faults.join('\n  ')}`);
  return configOf(parsed.data);
}

function configOf(v: z.infer<typeof variables>): Config {
  return Object.freeze({
    environment: v.NODE_ENV,
    host: v.HOST,
    port: v.PORT,
    publicUrl: v.PUBLIC_URL,
    workers: v.WORKERS === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : Number(v.WORKERS),
    logLevel: v.LOG_LEVEL ?? (v.NODE_ENV === 'production' ? 'info' : 'warn'),
    loggedRequests: v.LOG_REQUESTS,
    shutdown: {
      delayMs: v.SHUTDOWN_DELAY_MS ?? (v.NODE_ENV === 'production' ? PRODUCTION_DELAY_MS : 0),
      timeoutMs: v.SHUTDOWN_TIMEOUT_MS,
    },
    databaseUrl: v.DATABASE_URL,
    migrationDatabaseUrl: v.MIGRATION_DATABASE_URL,
    ...poolConfig(v),
    redis: redisPlace(v),
    redisGroup: v.REDIS_GROUP,
    fencePolicy: v.FENCE_POLICY,
    nearCacheBytes: v.NEAR_CACHE_MB * 1024 * 1024,
    maxResponseBytes: v.MAX_RESPONSE_MB * 1024 * 1024,
    maxUnreadBytes: v.MAX_UNREAD_MB * 1024 * 1024,
    trashDays: v.TRASH_DAYS,
    historyDays: v.HISTORY_DAYS,
    webhookAllowPrivate:
      v.WEBHOOK_ALLOW_PRIVATE === undefined ? v.NODE_ENV !== 'production' : v.WEBHOOK_ALLOW_PRIVATE === 'on',
    compression: v.COMPRESSION === 'on',
    knownOperations: v.KNOWN_OPERATIONS === 'on',
    introspection: v.INTROSPECTION === undefined ? v.NODE_ENV !== 'production' : v.INTROSPECTION === 'on',
    console: v.CONSOLE === undefined ? v.NODE_ENV !== 'production' : v.CONSOLE === 'on',
    persistedDocuments: persistedDocuments(v),
    tokens: tokenConfig(v),
    exportSecret: v.EXPORT_SECRET,
    issuer: v.JWT_ISSUER,
    audience: v.JWT_AUDIENCE,
    access: accessConfig(v, v.NODE_ENV === 'production'),
    subscriptionLimits: subscriptionConfig(v),
    telemetry: telemetryConfig(v),
    ...observationConfig(v, v.HOST),
  });
}

function missingInProduction(given: Environment): string[] {
  if (!isProduction(given)) return [];
  const faults: string[] = [];
  if (given['DATABASE_URL'] === undefined) faults.push('DATABASE_URL: required in production');
  if (!['REDIS_URL', 'REDIS_CLUSTER_NODES', 'REDIS_SENTINELS'].some((name) => given[name] !== undefined)) {
    faults.push('REDIS_URL, REDIS_CLUSTER_NODES or REDIS_SENTINELS: required in production');
  }
  if (given['JWT_SECRET'] === undefined && given['JWKS_URL'] === undefined) {
    faults.push('JWT_SECRET or JWKS_URL: required in production');
  }
  return faults;
}

/** A caller may use a quarter of MAX_UNREAD_MB, which must have room for one response. */
function sizeFaults(v: z.infer<typeof variables>): string[] {
  if (v.MAX_UNREAD_MB >= 4 * v.MAX_RESPONSE_MB) return [];
  return ['MAX_UNREAD_MB: expected at least 4 times MAX_RESPONSE_MB'];
}

/** Variables of which at most one may be set. */
function conflicts(given: Environment): string[] {
  const pairs = [
    ['REDIS_CLUSTER_NODES', 'REDIS_SENTINELS'],
    ['JWT_SECRET', 'JWKS_URL'],
    ['JWT_PREVIOUS_SECRETS', 'JWKS_URL'],
  ] as const;
  return pairs
    .filter(([one, other]) => given[one] !== undefined && given[other] !== undefined)
    .map(([one, other]) => `${one}, ${other}: expected only one of them`);
}

function manifestFaults(given: Environment): string[] {
  const needed = ['warn', 'enforce'].includes(given['PERSISTED_DOCUMENTS_MODE'] ?? '');
  if (!needed || given['PERSISTED_DOCUMENTS']) return [];
  return ['PERSISTED_DOCUMENTS: required when PERSISTED_DOCUMENTS_MODE is warn or enforce'];
}

/** Defaults to `warn` when a manifest is set: the first step is to see what it lacks. */
function persistedDocuments(v: z.infer<typeof variables>): Config['persistedDocuments'] {
  const { PERSISTED_DOCUMENTS: path, PERSISTED_DOCUMENTS_MODE: mode = 'warn' } = v;
  return path === undefined || mode === 'off' ? undefined : { path, mode };
}

function tokenConfig({
  JWT_SECRET: secret,
  JWT_PREVIOUS_SECRETS: previous,
  JWKS_URL: url,
}: z.infer<typeof variables>): TokenConfig | undefined {
  if (url !== undefined) return { kind: 'jwks', url };
  return secret === undefined ? undefined : { kind: 'secret', secret, ...(previous && { previous }) };
}
