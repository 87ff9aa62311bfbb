/**
 * The environment, read once and checked as a whole: every variable that is wrong or missing is reported in one message. In
 * production nothing has a default that could hide a mistake; elsewhere what is missing is started or made up.
 */
import { z } from 'zod';

/** HS256 wants a key of at least the hash's length. */
const MIN_SECRET_CHARS = 32;

const urlOf = (...protocols: string[]) =>
  z.url({
    protocol: new RegExp(`^(${protocols.join('|')})$`),
    error: `expected a URL like ${protocols[0]}://host:port/…`,
  });

const variables = z.object({
  NODE_ENV: z
    .enum(['development', 'test', 'production'], 'expected development, test or production')
    .default('development'),
  HOST: z.string().min(1, 'expected a host name or address').default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535, 'expected a port, 0 to 65535').default(4000),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'expected a level of pino: fatal to trace, or silent',
    )
    .optional(),
  DATABASE_URL: urlOf('postgres', 'postgresql').optional(),
  REDIS_URL: urlOf('redis', 'rediss').optional(),
  JWT_SECRET: z.string().min(MIN_SECRET_CHARS, `expected at least ${MIN_SECRET_CHARS} characters`).optional(),
  JWKS_URL: urlOf('https', 'http').optional(),
  JWT_ISSUER: z.string().min(1).default('tasks-api'),
  JWT_AUDIENCE: z.string().min(1).default('tasks-api'),
});

export interface Config {
  readonly environment: 'development' | 'test' | 'production';
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  /** Absent outside of production: a private PostgreSQL is started. */
  readonly databaseUrl: string | undefined;
  /** Absent outside of production: a private Redis, or the memory store. */
  readonly redisUrl: string | undefined;
  /** Absent outside of production: a secret is made and kept with the embedded data. */
  readonly tokens: TokenConfig | undefined;
  readonly issuer: string;
  readonly audience: string;
}

export type TokenConfig =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'jwks'; readonly url: string };

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';
}

/** @throws ConfigError that names every variable at fault and what was expected. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  // An empty variable is what `FOO=` in an env file means: not set.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = variables.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  if (given['NODE_ENV'] === 'production') {
    for (const name of ['DATABASE_URL', 'REDIS_URL']) {
      if (given[name] === undefined) faults.push(`${name}: required in production`);
    }
    if (given['JWT_SECRET'] === undefined && given['JWKS_URL'] === undefined) {
      faults.push('JWT_SECRET or JWKS_URL: required in production');
    }
  }
  if (given['JWT_SECRET'] !== undefined && given['JWKS_URL'] !== undefined) {
    faults.push('JWT_SECRET, JWKS_URL: expected only one of them');
  }
  if (faults.length > 0 || !parsed.success)
    throw new ConfigError(`The environment is not usable:\n  ${faults.join('\n  ')}`);

  const v = parsed.data;
  return Object.freeze({
    environment: v.NODE_ENV,
    host: v.HOST,
    port: v.PORT,
    logLevel: v.LOG_LEVEL ?? (v.NODE_ENV === 'production' ? 'info' : 'warn'),
    databaseUrl: v.DATABASE_URL,
    redisUrl: v.REDIS_URL,
    tokens: tokenConfig(v.JWT_SECRET, v.JWKS_URL),
    issuer: v.JWT_ISSUER,
    audience: v.JWT_AUDIENCE,
  });
}

function tokenConfig(secret: string | undefined, url: string | undefined): TokenConfig | undefined {
  if (url !== undefined) return { kind: 'jwks', url };
  return secret === undefined ? undefined : { kind: 'secret', secret };
}
