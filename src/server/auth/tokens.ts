/** What a token proves: tokens are JWTs, checked for signature, algorithm, issuer, audience and times. Who that is: users/identities.ts. */
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { UserId } from '../../db/ids.js';
import { systemClock } from '../../engine/cache/index.js';
import { authenticationUnavailable, unauthenticated } from '../../graphql/errors.js';
import type { VerifiedToken } from '../../graphql/identity.js';
import { KEY_SET_ALGORITHMS, SECRET_ALGORITHMS, type TokenConfig } from '../../platform/token-config.js';
import { SECOND } from '../../std/time.js';
import { KeyServerUnavailable, type KeySetOptions, remoteKeySet } from './key-set.js';

export interface TokenOptions {
  readonly tokens: TokenConfig;
  readonly issuer: string;
  readonly audience: string;
  /** Which signatures count. Default: DEFAULT_ALGORITHMS of the kind. */
  readonly algorithms?: readonly string[] | undefined;
  readonly keySet?: KeySetOptions;
}

const DEFAULT_ALGORITHMS = { secret: ['HS256'], jwks: ['RS256', 'PS256', 'ES256', 'EdDSA'] };

/** Between the issuer's clock and ours. */
const CLOCK_TOLERANCE_S = 5;

/** Tokens whose signature was found good: checking it is half of what a known answer costs. */
const MAX_KNOWN = 10_000;
/** How long a key is taken at its word for a token that it has signed; keys are fetched anew less often. */
const TRUSTED_MS = 10 * SECOND;

/**
 * @returns what checks a token. It throws UNAUTHENTICATED and says what is wrong, never what was expected of the signature; or
 * AUTHENTICATION_UNAVAILABLE when the keys cannot be had.
 * @throws TypeError when an algorithm does not belong to that kind of key: a public key must never serve as an HMAC secret.
 */
export function tokenVerifier(options: TokenOptions): (token: string) => Promise<VerifiedToken> {
  const known = new LRUCache<string, { readonly token: VerifiedToken; readonly untilMs: number }>({ max: MAX_KNOWN });
  let keySets = 0;
  const onFetched = () => {
    keySets++;
    known.clear();
    options.keySet?.onFetched?.();
  };
  const verify = signatureCheck({ ...options, keySet: { ...options.keySet, onFetched } });
  const clock = options.keySet?.clock ?? systemClock;
  const trustedMs = options.tokens.kind === 'secret' ? Number.POSITIVE_INFINITY : TRUSTED_MS;
  return async (text) => {
    const seen = known.get(text);
    if (seen !== undefined && clock.nowMs() < seen.untilMs && !hasExpired(seen.token)) return seen.token;
    const keySet = keySets;
    try {
      const { payload } = await verify(text);
      const token = verified(payload);
      if (keySet === keySets) known.set(text, { token, untilMs: clock.nowMs() + trustedMs });
      return token;
    } catch (error) {
      // The key server's fault is no fault of the token.
      if (error instanceof KeyServerUnavailable || error instanceof errors.JWKSInvalid) {
        throw authenticationUnavailable('Tokens cannot be checked now: the key server does not answer.');
      }
      if (error instanceof errors.JWTExpired) throw unauthenticated('The token has expired.');
      if (error instanceof errors.JOSEError) throw unauthenticated('The token is not valid.');
      throw error;
    }
  };
}

/** As jose counts it. */
function hasExpired({ expiresAtMs }: VerifiedToken): boolean {
  return expiresAtMs / SECOND <= Math.floor(Date.now() / SECOND) - CLOCK_TOLERANCE_S;
}

function signatureCheck({ tokens, issuer, audience, algorithms, keySet }: TokenOptions) {
  const known = tokens.kind === 'secret' ? SECRET_ALGORITHMS : KEY_SET_ALGORITHMS;
  const wrong = algorithms?.find((algorithm) => !known.includes(algorithm));
  if (wrong !== undefined) throw new TypeError(`algorithms: expected some of ${known.join(', ')}, not ${wrong}`);
  const checks: JWTVerifyOptions = {
    issuer,
    audience,
    algorithms: [...(algorithms ?? DEFAULT_ALGORITHMS[tokens.kind])],
    requiredClaims: ['sub', 'exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
  };
  if (tokens.kind === 'secret') {
    const key = secretKey(tokens.secret);
    return (token: string) => jwtVerify(token, key, checks);
  }
  const keys = remoteKeySet(new URL(tokens.url), keySet);
  return (token: string) => jwtVerify(token, keys, checks);
}

function verified({ sub, exp, scope, preferred_username: handle, name }: JWTPayload): VerifiedToken {
  if (typeof sub !== 'string' || exp === undefined) throw unauthenticated('The token is not valid.');
  return {
    subject: sub,
    scopes: text(scope)?.split(' ') ?? [],
    expiresAtMs: exp * SECOND,
    profile: { handle: text(handle), name: text(name) },
  };
}

function text(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : undefined;
}

/** A token for a user, for `expiresIn` (`12h`). Only with a secret: the other kind is issued elsewhere. */
export async function signToken(options: TokenOptions, userId: UserId, expiresIn: string): Promise<string> {
  if (options.tokens.kind !== 'secret') throw new Error('tokens are issued elsewhere: JWKS_URL is set');
  return await new SignJWT({})
    .setProtectedHeader({ alg: options.algorithms?.[0] ?? 'HS256' })
    .setSubject(userId)
    .setIssuer(options.issuer)
    .setAudience(options.audience)
    .setIssuedAt()
    .setExpirationTime(expiresIn)
    .sign(secretKey(options.tokens.secret));
}

function secretKey(secret: string): Uint8Array {
  return new TextEncoder().encode(secret);
}
