/**
 * The public keys of the token issuer, fetched from its JWKS URL and cached. Cached keys verify tokens even if the key
 * server is down; a new key is fetched when a token names it. However many tokens name unknown keys, the server is
 * asked at most once per `COOLDOWN_MS`, and once per `REST_MS` while it fails.
 */
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import { DAY, MINUTE, SECOND } from '../../std/time.js';

const TIMEOUT_MS = 3 * SECOND;
/** Time after a response during which tokens with unknown keys are refused without asking the server. */
const COOLDOWN_MS = 30 * SECOND;
/** Time after a failure during which the server is not asked. */
const REST_MS = 5 * SECOND;
/** Older keys are refetched in the background. A withdrawn key is refused some time after this. */
const FRESH_MS = 10 * MINUTE;
/** Keys that could not be refetched for this long are not trusted. */
const MAX_AGE_MS = DAY;
const MAX_CHARS = 1024 * 1024;

/** The token can be neither accepted nor refused at the moment. */
export class KeyServerUnavailable extends Error {
  override readonly name = 'KeyServerUnavailable';
  readonly code = 'KEY_SERVER_UNAVAILABLE';
}

export interface KeySetOptions {
  readonly clock?: Clock;
  /** Time limit of one attempt. Defaults to 3 s. */
  readonly timeoutMs?: number;
  /** Called for every failed attempt. */
  readonly onFailure?: (error: unknown) => void;
  /** Called when keys were fetched and are in use; other keys may have been withdrawn. */
  readonly onFetched?: () => void;
}

/** Finds the key that a token names. Rejects with KeyServerUnavailable, or with an error of jose about the token. */
export function remoteKeySet(
  url: URL,
  { clock = systemClock, timeoutMs = TIMEOUT_MS, onFailure, onFetched }: KeySetOptions = {},
): JWTVerifyGetKey {
  let restsUntilMs = 0;
  let fetchedAtMs = 0;
  const fetchKeys = async (address: string, init: Parameters<typeof fetch>[1]) => {
    if (clock.nowMs() < restsUntilMs) throw new KeyServerUnavailable('the key server has just failed');
    try {
      const text = await readKeySet(await fetch(address, init));
      fetchedAtMs = clock.nowMs();
      onFetched?.();
      return new Response(text);
    } catch (cause) {
      restsUntilMs = clock.nowMs() + REST_MS;
      const error = new KeyServerUnavailable(`the key server at ${url.host} returned no key set`, { cause });
      onFailure?.(error);
      throw error;
    }
  };
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: timeoutMs,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: MAX_AGE_MS,
    [customFetch]: fetchKeys,
  });
  return async (header, token) => {
    const old = keys.jwks() !== undefined && clock.nowMs() - fetchedAtMs > FRESH_MS;
    // Reported through onFailure.
    if (old && !keys.reloading && clock.nowMs() >= restsUntilMs) keys.reload().then(onFetched, () => {});
    return keys(header, token);
  };
}

async function readKeySet(response: Response): Promise<string> {
  if (response.status !== 200) throw new Error(`expected status 200, got ${response.status}`);
  const text = await response.text();
  if (text.length > MAX_CHARS) throw new Error(`expected at most ${MAX_CHARS} characters, got ${text.length}`);
  const { keys } = JSON.parse(text) as { keys?: unknown };
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'object' && key !== null && !Array.isArray(key))) {
    throw new Error('expected an object with a list of keys');
  }
  return text;
}
