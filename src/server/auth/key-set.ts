/**
 * The keys of whoever issues tokens, fetched from their JWKS address and kept. A key that is known verifies also while the key
 * server is away; a new one is fetched when a token names it. However many tokens name keys that do not exist, the server is
 * asked once in `COOLDOWN_MS`, and once in `REST_MS` while it fails.
 */
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import { DAY, MINUTE, SECOND } from '../../std/time.js';

const TIMEOUT_MS = 3 * SECOND;
/** After an answer: a token with an unknown key waits for nothing, it is refused. */
const COOLDOWN_MS = 30 * SECOND;
/** After a failure. */
const REST_MS = 5 * SECOND;
/** Older keys are fetched anew, beside the requests: a key that was withdrawn is refused some time after this. */
const FRESH_MS = 10 * MINUTE;
/** Keys that could not be fetched anew for so long are not trusted any more. */
const MAX_AGE_MS = DAY;
const MAX_CHARS = 1024 * 1024;

/** Nothing can be said of a token now; it may be as good as any. */
export class KeyServerUnavailable extends Error {
  override readonly name = 'KeyServerUnavailable';
  readonly code = 'KEY_SERVER_UNAVAILABLE';
}

export interface KeySetOptions {
  readonly clock?: Clock;
  /** How long one attempt may take. Default 3 s. */
  readonly timeoutMs?: number;
  /** Told of every failed attempt. */
  readonly onFailure?: (error: unknown) => void;
  /** Told when keys were fetched, and when they are in use: others may be withdrawn. */
  readonly onFetched?: () => void;
}

/** The key that a token names. It rejects with KeyServerUnavailable, or with an error of jose's about the token. */
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
      const error = new KeyServerUnavailable(`the key server at ${url.host} gave no key set`, { cause });
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
    if (old && !keys.reloading && clock.nowMs() >= restsUntilMs) keys.reload().then(onFetched, () => {}); // told by onFailure
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
