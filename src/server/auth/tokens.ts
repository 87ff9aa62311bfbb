/**
 * Verifies tokens. They are JWTs, checked for signature, algorithm, issuer, audience and times. users/identities.ts
 * maps them to users.
 */
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
  /** Accepted signature algorithms. Defaults to DEFAULT_ALGORITHMS of the kind. */
  readonly algorithms?: readonly string[] | undefined;
  readonly keySet?: KeySetOptions;
}

const DEFAULT_ALGORITHMS = { secret: ['HS256'], jwks: ['RS256', 'PS256', 'ES256', 'EdDSA'] };

/** Tolerated difference between the clocks of the issuer and this server. */
const CLOCK_TOLERANCE_S = 5;

/** Tokens with a verified signature. Verification is half of the cost of a cached answer. */
const MAX_KNOWN = 10_000;
/** How long a verified token is accepted without checking its key again. Keys are refetched less often. */
const TRUSTED_MS = 10 * SECOND;

/**
 * @returns a verifier. It throws UNAUTHENTICATED with the fault, but without details of the expected signature, or
 * AUTHENTICATION_UNAVAILABLE if the keys cannot be fetched.
 * @throws TypeError if an algorithm does not fit the kind of key: a public key must never serve as an HMAC secret
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
      // A fault of the key server is not a fault of the token.
      if (error instanceof KeyServerUnavailable || error instanceof errors.JWKSInvalid) {
        throw authenticationUnavailable('Tokens cannot be verified at the moment: the key server does not respond.');
      }
      if (error instanceof errors.JWTExpired) throw unauthenticated('The token has expired.');
      if (error instanceof errors.JOSEError) throw unauthenticated('The token is not valid.');
      throw error;
    }
  };
}

/** Uses the same rule as jose. */
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
    const keys = [tokens.secret, ...(tokens.previous ?? [])].map(secretKey);
    return (token: string) => verifiedByOne(token, keys, checks);
  }
  const keys = remoteKeySet(new URL(tokens.url), keySet);
  return (token: string) => jwtVerify(token, keys, checks);
}

/** @throws JWSSignatureVerificationFailed if it is signed with none of the secrets */
async function verifiedByOne(token: string, keys: readonly Uint8Array[], checks: JWTVerifyOptions) {
  for (const key of keys.slice(0, -1)) {
    try {
      return await jwtVerify(token, key, checks);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  return jwtVerify(token, keys.at(-1) as Uint8Array, checks);
}

function verified({ sub, exp, scope, ...claims }: JWTPayload): VerifiedToken {
  if (typeof sub !== 'string' || exp === undefined) throw unauthenticated('The token is not valid.');
  return {
    subject: sub,
    scopes: text(scope)?.split(' ') ?? [],
    expiresAtMs: exp * SECOND,
    profile: {
      handle: text(claims.preferred_username),
      name: text(claims.name),
      email: claims.email_verified === true ? text(claims.email) : undefined,
    },
  };
}

function text(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : undefined;
}

export interface SigningOptions extends TokenOptions {
  /** What the token allows beside what its user may do. Default: nothing. */
  readonly scopes?: readonly string[];
}

/**
 * Signs a token for a user, valid for `expiresIn` (`12h`). Only with a secret; tokens for a key set are issued
 * elsewhere.
 */
export async function signToken(options: SigningOptions, userId: UserId, expiresIn: string): Promise<string> {
  if (options.tokens.kind !== 'secret') throw new Error('tokens are issued elsewhere: JWKS_URL is set');
  return await new SignJWT(options.scopes === undefined ? {} : { scope: options.scopes.join(' ') })
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
