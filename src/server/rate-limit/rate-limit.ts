/**
 * How much a viewer, and an address, may ask for in a window of time, in points: what a request costs. Points are taken from
 * all processes' common count in advances and spent here, so that most requests ask nobody: a request waits for the count only
 * when its window begins, once for each process, or when the advance was not renewed in time.
 *
 * Never more than the limit is granted. What an advance has left at the end of a window is lost to the other processes: at most
 * one advance for each of them.
 */
import type { ApolloServerPlugin } from '@apollo/server';
import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { headerMap } from '../../graphql/http-headers.js';
import type { RateState } from '../../graphql/rate-state.js';
import { SECOND } from '../../std/time.js';

/** An advance is this part of the limit. */
const PREFETCHES_PER_WINDOW = 50;
/** An address may be that of a whole company: an outer bound for all that comes from it, whoever it is. */
const ADDRESS_FACTOR = 20;
/** A new user costs so many points of an address's limit, in a count of their own. */
const NEW_USER_POINTS = 100;
/** Callers remembered. Who is forgotten takes a new advance. */
const MAX_ALLOWANCES = 50_000;

/** Counts for all processes. */
export interface PointSource {
  /** Takes up to `points` of the limit that `key` has in a window of `seconds`. Never rejects for long: see there. */
  take(key: string, points: number, window: { limit: number; seconds: number }): Promise<PointGrant>;
}

export interface PointGrant {
  readonly granted: number;
  /** What is left of the limit after that. */
  readonly remaining: number;
  /** Until the window ends. */
  readonly resetMs: number;
}

export interface RateLimitOptions {
  /** Of a viewer, in `seconds`; of an address ADDRESS_FACTOR times as many. */
  readonly points: number;
  readonly seconds: number;
  readonly source: PointSource;
  readonly clock?: Clock;
}

/** A caller's part of a window, in this process. */
interface Allowance {
  readonly key: string;
  readonly limit: number;
  /** Granted and not yet spent. */
  left: number;
  /** What the common count still has. */
  remaining: number;
  /** On the monotonic clock. */
  endsAtMs: number;
  /** Under way: whoever needs it waits for the same. */
  taking: Promise<void> | undefined;
}

export class RateLimits {
  readonly #points: number;
  readonly #seconds: number;
  readonly #source: PointSource;
  readonly #clock: Clock;
  readonly #allowances = new LRUCache<string, Allowance>({ max: MAX_ALLOWANCES });

  constructor({ points, seconds, source, clock = systemClock }: RateLimitOptions) {
    this.#points = points;
    this.#seconds = seconds;
    this.#source = source;
    this.#clock = clock;
  }

  /** A request has come from this address: before anything is done for it. @throws RATE_LIMITED */
  async checkAddress(address: string): Promise<void> {
    await this.#consumeFrom(this.#allowanceOf(`address:${networkOf(address)}`, this.#points * ADDRESS_FACTOR), 1);
  }

  /** A token from this address is to become a new user, who takes a row for good. @throws RATE_LIMITED */
  async admitNewUser(address: string): Promise<void> {
    const limit = Math.ceil((this.#points * ADDRESS_FACTOR) / NEW_USER_POINTS);
    await this.#consumeFrom(this.#allowanceOf(`new-users:${networkOf(address)}`, limit), 1);
  }

  /** This caller will spend soon: what they need may be fetched meanwhile. */
  prefetch(caller: string): void {
    const ledger = this.#allowanceOf(caller, this.#points);
    if (ledger.left === 0 || this.#isOver(ledger)) this.#prefetchFor(ledger);
  }

  /** @throws RATE_LIMITED when the window has not as many points left; then none are spent */
  consume(caller: string, cost: number): Promise<RateState> {
    return this.#consumeFrom(this.#allowanceOf(caller, this.#points), cost);
  }

  async #consumeFrom(ledger: Allowance, cost: number): Promise<RateState> {
    while (ledger.left < cost || this.#isOver(ledger)) {
      if (cost > ledger.limit || !this.#mayHaveMore(ledger)) throw rateLimited(this.#stateOf(ledger, cost));
      await this.#fetchPoints(ledger, cost - ledger.left);
    }
    ledger.left -= cost;
    // In time for those who come next, who then need not wait.
    if (ledger.left < this.#prefetchSize(ledger) / 2) this.#prefetchFor(ledger);
    return this.#stateOf(ledger, cost);
  }

  #allowanceOf(key: string, limit: number): Allowance {
    const known = this.#allowances.get(key);
    if (known !== undefined) return known;
    const made = { key, limit, left: 0, remaining: limit, endsAtMs: -Infinity, taking: undefined };
    this.#allowances.set(key, made);
    return made;
  }

  #mayHaveMore(ledger: Allowance): boolean {
    return ledger.remaining > 0 || this.#isOver(ledger);
  }

  /** The window that the ledger speaks of has ended. */
  #isOver({ endsAtMs }: Allowance): boolean {
    return this.#clock.monotonicMs() >= endsAtMs;
  }

  #prefetchFor(ledger: Allowance): void {
    if (this.#mayHaveMore(ledger)) this.#fetchPoints(ledger, 1).catch(() => {}); // told to whoever needs it
  }

  #prefetchSize({ limit }: Allowance): number {
    return Math.ceil(limit / PREFETCHES_PER_WINDOW);
  }

  #fetchPoints(ledger: Allowance, needed: number): Promise<void> {
    ledger.taking ??= this.#source
      .take(ledger.key, Math.max(needed, this.#prefetchSize(ledger)), { limit: ledger.limit, seconds: this.#seconds })
      .then(({ granted, remaining, resetMs }) => {
        const nowMs = this.#clock.monotonicMs();
        ledger.left = granted + (this.#isOver(ledger) ? 0 : ledger.left);
        ledger.remaining = remaining;
        ledger.endsAtMs = nowMs + Math.max(1, resetMs);
      })
      .finally(() => {
        ledger.taking = undefined;
      });
    return ledger.taking;
  }

  #stateOf({ limit, left, remaining, endsAtMs }: Allowance, cost: number): RateState {
    const resetMs = Math.max(0, endsAtMs - this.#clock.monotonicMs());
    const resetAt = new Date(this.#clock.nowMs() + resetMs).toISOString();
    return { limit, cost, remaining: remaining + left, resetAt, resetMs };
  }
}

/** Who pays: the viewer, or the address while nobody is signed in. */
export function callerOf({ userId }: { readonly userId: string | undefined }, address: string): string {
  return userId === undefined ? `anonymous:${networkOf(address)}` : `viewer:${userId}`;
}

/** Whole points, at least one. */
export function pointsFor(cost: number): number {
  return Math.max(1, Math.ceil(cost));
}

/**
 * Spends what an operation costs before it runs, and tells every answer where its caller stands. To be put after whatever sets
 * the context's `cost`, which happens in the same hook.
 */
export function rateLimitPlugin(
  limits: RateLimits | undefined,
  caller: (context: Context) => string,
): ApolloServerPlugin<Context> {
  if (limits === undefined) return {};
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ contextValue }) => {
        const { costing, cost = 1 } = contextValue as { readonly cost?: number; readonly costing?: Promise<number> };
        const points = costing === undefined ? cost : await costing.catch(() => 1); // its failure is the request's
        contextValue.rateLimitState = await limits.consume(caller(contextValue), pointsFor(points));
      },
      willSendResponse: async ({ response, contextValue: { rateLimitState } }) => {
        if (rateLimitState === undefined) return;
        for (const [name, value] of headersOf(rateLimitState)) response.http.headers.set(name, value);
      },
    }),
  };
}

function rateLimited(state: RateState): GraphQLError {
  const { limit, cost, remaining, resetAt, resetMs } = state;
  const headers = headerMap([...headersOf(state), ['retry-after', String(secondsOf(resetMs))]]);
  const message = `Too many requests: this one costs ${cost} of ${limit} points, of which ${remaining} are left.`;
  const http = { status: 429, headers };
  const extensions: Record<string, unknown> = { code: 'RATE_LIMITED', limit, remaining, resetAt, http };
  return new GraphQLError(message, { extensions });
}

export function headersOf({ limit, remaining, resetMs }: RateState): [string, string][] {
  return [
    ['ratelimit-limit', String(limit)],
    ['ratelimit-remaining', String(remaining)],
    ['ratelimit-reset', String(secondsOf(resetMs))],
  ];
}

/** Rounded up: who waits so long waits long enough. */
function secondsOf(ms: number): number {
  return Math.ceil(ms / SECOND);
}

/** Of IPv6 the network, since one customer has 2^64 addresses. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail = ''] = address.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return `${[...left, ...zeros, ...right].slice(0, 4).join(':')}::/64`;
}
