/**
 * Admission: who sends a request, and which caller is charged for it. It precedes all parsing; a body of up to 16 KiB may
 * have been received by then.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { ReadSet } from '../engine/cache/index.js';
import { unauthenticated } from '../graphql/errors.js';
import { headerMap } from '../graphql/http-headers.js';
import type { Identity, TokenSender, VerifiedToken } from '../graphql/identity.js';
import { bearerToken } from './auth/bearer.js';
import { addressOf, type HttpSecurityOptions } from './http/http-security.js';
import { callerOf, type RateLimits } from './rate-limit/rate-limit.js';

/** The sender of an admitted request. */
export interface Sender {
  /** Absent: the request has no token. Only introspection is answered. */
  readonly identity: Identity | undefined;
  /** The caller that is charged: see rate-limit.ts. */
  readonly caller: string;
}

export interface AdmissionOptions extends Pick<HttpSecurityOptions, 'trustProxy'> {
  /** @throws UNAUTHENTICATED; RATE_LIMITED if the token would create a new user */
  readonly verifyToken: (token: string, from: TokenSender) => Promise<Identity>;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
}

/**
 * Counts the request's address, then verifies its token. `readSet`: sees a user created for the token; without one the
 * caller begins its read set later.
 * @throws RATE_LIMITED, UNAUTHENTICATED
 */
export type Admit = (message: IncomingMessage, readSet?: ReadSet) => Promise<Sender>;

export function admission(options: AdmissionOptions): Admit {
  const { rateLimits } = options;
  const addressOfMessage = addressOf(options);
  return async (message, readSet) => {
    const address = addressOfMessage(message);
    await rateLimits?.checkAddress(address);
    const identity = await identityOf(options, message.headers, { address, readSet });
    const caller = callerOf({ userId: identity?.userId }, address);
    rateLimits?.prefetch(caller);
    return { identity, caller };
  };
}

export interface ScopeOptions {
  /** The claims of a valid token, of a user or not. @throws UNAUTHENTICATED */
  readonly verifyClaims: (token: string) => Promise<Pick<VerifiedToken, 'scopes'>>;
}

/**
 * For programs, such as one that reads metrics: its token has the scope, and need not be a user's. None is created.
 * @throws UNAUTHENTICATED, FORBIDDEN
 */
export async function requireScope(
  { verifyClaims }: ScopeOptions,
  { authorization }: IncomingHttpHeaders,
  scope: string,
): Promise<void> {
  const message = `This requires a token with the scope ${scope}.`;
  const token = bearerToken(authorization);
  if (token === undefined) throw unauthenticated(message, 'Bearer');
  if ((await verifyClaims(token)).scopes.includes(scope)) return;
  const headers = headerMap([['www-authenticate', `Bearer error="insufficient_scope", scope="${scope}"`]]);
  throw new GraphQLError(message, { extensions: { code: 'FORBIDDEN', http: { status: 403, headers } } });
}

async function identityOf(
  { verifyToken }: AdmissionOptions,
  { authorization }: IncomingHttpHeaders,
  from: TokenSender,
): Promise<Identity | undefined> {
  const token = bearerToken(authorization);
  return token === undefined ? undefined : verifyToken(token, from);
}
