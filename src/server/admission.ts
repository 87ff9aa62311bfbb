/** Admission: who sends a request, and which caller is charged for it. Nothing else is done for a request before. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ReadSet } from '../engine/cache/index.js';
import type { Identity, TokenSender } from '../graphql/identity.js';
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

/** @throws an error that Fastify answers with 401 or 403 */
export async function requireScope(
  options: AdmissionOptions,
  { headers, ip: address }: { readonly headers: IncomingHttpHeaders; readonly ip: string },
  scope: string,
): Promise<void> {
  const identity = await identityOf(options, headers, { address }).catch(() => undefined);
  if (identity?.scopes.includes(scope)) return;
  const statusCode = identity === undefined ? 401 : 403;
  throw Object.assign(new Error(`This requires a token with the scope ${scope}.`), { statusCode });
}

async function identityOf(
  { verifyToken }: AdmissionOptions,
  { authorization }: IncomingHttpHeaders,
  from: TokenSender,
): Promise<Identity | undefined> {
  const token = bearerToken(authorization);
  return token === undefined ? undefined : verifyToken(token, from);
}
