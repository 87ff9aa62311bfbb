/** The access settings of the environment: tokens, browser origins, proxies, rate limits. Read by config.ts. */

import { isIP } from 'node:net';
import { z } from 'zod';
import type { HttpConnectionLimits } from './http-connection-limits.js';
import { DEFAULT_HTTP_CONNECTION_LIMITS } from './http-connection-limits.js';
import { KEY_SET_ALGORITHMS, SECRET_ALGORITHMS } from './token-config.js';

/** Apollo's hosted Sandbox, which talks to a server on this machine from a browser. */
const SANDBOX_ORIGIN = 'https://studio.apollographql.com';

/** A key must be at least as long as its hash. */
const SECRET_CHARS: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };
/**
 * In RATE_LIMIT_SECONDS. A board of 50 tasks with assignees and labels costs some 1400 when it is run, and 1 when its
 * answer is known. What Postgres works longest for costs 320, so an attacker gets it 93 times a minute (test/hostile).
 */
const DEFAULT_RATE_POINTS = 30_000;

const listOf = (isOne: (text: string) => boolean, expected: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine((parts) => parts.every(isOne), expected);

const wholeNumber = (expected: string, min: number) => z.coerce.number(expected).int(expected).min(min, expected);

const connections = (otherwise: number) =>
  wholeNumber('expected a number of connections, at least 1', 1).default(otherwise);

export const accessVariables = {
  JWT_ALGORITHMS: listOf(
    (name) => [...SECRET_ALGORITHMS, ...KEY_SET_ALGORITHMS].includes(name),
    `expected some of ${[...SECRET_ALGORITHMS, ...KEY_SET_ALGORITHMS].join(',')}`,
  ).optional(),
  UNKNOWN_USERS: z.enum(['refuse', 'create'], 'expected refuse or create').default('refuse'),
  CORS_ORIGINS: listOf(isOrigin, 'expected comma-separated origins like https://app.example.com').optional(),
  TRUST_PROXY: listOf(isNetwork, 'expected proxy addresses like 10.0.0.0/8,::1').optional(),
  MAX_HTTP_CONNECTIONS: connections(DEFAULT_HTTP_CONNECTION_LIMITS.maxConnections),
  MAX_HTTP_CONNECTIONS_PER_ADDRESS: connections(DEFAULT_HTTP_CONNECTION_LIMITS.maxConnectionsPerAddress),
  RATE_LIMIT_POINTS: wholeNumber('expected a number of points, 0 for no limit', 0).optional(),
  RATE_LIMIT_SECONDS: wholeNumber('expected a number of seconds', 1).pipe(z.number().max(86_400)).default(60),
  TIME_LIMITS: z.enum(['on', 'off'], 'expected on or off').optional(),
};

const variables = z.object(accessVariables);
type Variables = z.output<typeof variables>;

export interface AccessConfig {
  /** Absent: the defaults for a secret or for a key set. */
  readonly algorithms: readonly string[] | undefined;
  readonly unknownUsers: 'refuse' | 'create';
  /** Origins of web pages that may call the API from a browser. */
  readonly corsOrigins: readonly string[];
  /** Addresses of proxies whose forwarded client address is trusted. Absent: none. */
  readonly trustProxy: readonly string[] | undefined;
  readonly httpConnections: HttpConnectionLimits;
  /** Whether the processing time of one caller is limited, in addition to its points. */
  readonly timeLimits: boolean;
  /** Absent: no rate limit. */
  readonly rateLimit: { readonly points: number; readonly seconds: number } | undefined;
}

export function accessConfig(v: Variables, production: boolean): AccessConfig {
  // During development a limit would only be in the way.
  const points = v.RATE_LIMIT_POINTS ?? (production ? DEFAULT_RATE_POINTS : 0);
  return {
    algorithms: v.JWT_ALGORITHMS,
    unknownUsers: v.UNKNOWN_USERS,
    corsOrigins: v.CORS_ORIGINS ?? (production ? [] : [SANDBOX_ORIGIN]),
    trustProxy: v.TRUST_PROXY,
    httpConnections: {
      maxConnections: v.MAX_HTTP_CONNECTIONS,
      maxConnectionsPerAddress: v.MAX_HTTP_CONNECTIONS_PER_ADDRESS,
    },
    timeLimits: v.TIME_LIMITS === undefined ? production : v.TIME_LIMITS === 'on',
    rateLimit: points === 0 ? undefined : { points, seconds: v.RATE_LIMIT_SECONDS },
  };
}

/** Checks that involve several variables. @param given the environment, whose variables may each be invalid */
export function accessFaults(given: Readonly<Record<string, string | undefined>>): string[] {
  const algorithms = given['JWT_ALGORITHMS']?.split(',').map((name) => name.trim()) ?? [];
  if (given['JWKS_URL'] !== undefined) {
    const isPublic = algorithms.every((name) => !name.startsWith('HS'));
    return isPublic ? [] : [`JWT_ALGORITHMS: expected some of ${KEY_SET_ALGORITHMS.join(',')} with JWKS_URL`];
  }
  if (algorithms.some((name) => KEY_SET_ALGORITHMS.includes(name))) {
    return [`JWT_ALGORITHMS: expected some of ${SECRET_ALGORITHMS.join(',')}: the others need JWKS_URL`];
  }
  const chars = Math.max(0, ...algorithms.map((name) => SECRET_CHARS[name] ?? 0));
  const secret = given['JWT_SECRET'];
  return secret === undefined || secret.length >= chars
    ? []
    : [`JWT_SECRET: expected at least ${chars} characters for ${algorithms.join(',')}`];
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  return (
    version !== 0 &&
    rest.length === 0 &&
    (bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
  );
}
