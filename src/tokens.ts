/** Who asks: tokens are JWTs, checked for signature, algorithm, issuer, audience and expiry. */
import { createRemoteJWKSet, errors, jwtVerify, SignJWT } from 'jose';
import type { TokenConfig } from './config.js';
import { isId, type UserId } from './db/ids.js';
import { unauthenticated } from './graphql/errors.js';
import type { Identity } from './graphql/server.js';

export interface TokenOptions {
  readonly tokens: TokenConfig;
  readonly issuer: string;
  readonly audience: string;
}

/** @returns what checks a token. It throws UNAUTHENTICATED and says what is wrong, never what was expected of the signature. */
export function tokenVerifier({ tokens, issuer, audience }: TokenOptions): (token: string) => Promise<Identity> {
  const checks = { issuer, audience, requiredClaims: ['sub', 'exp'] };
  const verify =
    tokens.kind === 'secret'
      ? (token: string) => jwtVerify(token, secretKey(tokens.secret), { ...checks, algorithms: ['HS256'] })
      : withKeySet(new URL(tokens.url), { ...checks, algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'] });
  return async (token) => {
    try {
      const { payload } = await verify(token);
      const subject = payload.sub ?? '';
      if (!isId('user', subject)) throw unauthenticated("The token's subject is not a user's id.");
      const scope = payload['scope'];
      return { userId: subject, scopes: typeof scope === 'string' ? scope.split(' ') : [] };
    } catch (error) {
      // Our key server's fault is no fault of the token.
      if (error instanceof errors.JWKSTimeout || (error as { code?: string }).code === 'ERR_JOSE_GENERIC') throw error;
      if (error instanceof errors.JWTExpired) throw unauthenticated('The token has expired.');
      if (error instanceof errors.JOSEError) throw unauthenticated('The token is not valid.');
      throw error;
    }
  };
}

function withKeySet(url: URL, checks: Parameters<typeof jwtVerify>[2]) {
  const keys = createRemoteJWKSet(url);
  return (token: string) => jwtVerify(token, keys, checks);
}

/** A token for a user, for `expiresIn` (`12h`). Only with a secret: the other kind is issued elsewhere. */
export async function signToken(options: TokenOptions, userId: UserId, expiresIn: string): Promise<string> {
  if (options.tokens.kind !== 'secret') throw new Error('tokens are issued elsewhere: JWKS_URL is set');
  return await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
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
