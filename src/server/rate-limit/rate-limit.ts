/**
 * Rate limits per viewer and per address, in points per window; a request costs points. Processes prefetch points from
 * a shared count and spend them locally, so most requests cause no round trip. A request waits for the shared count
 * only at the start of a window, once per process, or if the prefetched points were not renewed in time.
 *
 * No more points than the limit are granted. Prefetched points left at the end of a window are lost to other processes:
 * at most one prefetch per process.
 */
import { GraphQLError } from 'graphql';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import { headerMap } from '../../graphql/http-headers.js';
import type { RateState } from '../../graphql/rate-state.js';
import type { RateLimitName } from '../../platform/request-metrics.js';
import { SECOND } from '../../std/time.js';

/** A prefetch is this fraction of the limit. */
const PREFETCHES_PER_WINDOW = 50;
/** An address may be shared by a whole company, so its limit is only an outer bound. */
const ADDRESS_FACTOR = 20;
/** Points of an address that a new user costs, in a separate count. */
const NEW_USER_POINTS = 300;
/** Callers with a local allowance. An evicted caller prefetches again. */
const MAX_ALLOWANCES = 50_000;

/** The shared count of all processes. */
export interface PointSource {
  /**
   * Takes up to `points` of the limit of `key` in a window of `seconds`. Falls back to in-process counting when Redis
   * is slow (RatePoints).
   */
  take(key: string, points: number, window: { limit: number; seconds: number }): Promise<PointGrant>;
}

export interface PointGrant {
  readonly granted: number;
  /** Points left in the window after this grant. */
  readonly remaining: number;
  /** Time until the window ends. */
  readonly resetMs: number;
}

export interface RateLimitOptions {
  /** Points per viewer and `seconds`. An address gets ADDRESS_FACTOR times as many. */
  readonly points: number;
  readonly seconds: number;
  readonly source: PointSource;
  readonly clock?: Clock;
}

/** The part of a caller's window that this process holds. */
interface Allowance {
  readonly key: string;
  readonly limit: number;
  /** Granted and not spent yet. */
  left: number;
  /** Left in the shared count. */
  remaining: number;
  /** On the monotonic clock. */
  endsAtMs: number;
  /** In progress; concurrent requests share it. */
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

  /** Counts a request from this address, before anything else is done for it. @throws RATE_LIMITED */
  async checkAddress(address: string): Promise<void> {
    await this.#consumeFrom(this.#allowanceOf(`address:${networkOf(address)}`, this.#points * ADDRESS_FACTOR), 1);
  }

  /** Counts a new user that a token from this address is about to create; its row is permanent. @throws RATE_LIMITED */
  async admitNewUser(address: string): Promise<void> {
    const limit = Math.ceil((this.#points * ADDRESS_FACTOR) / NEW_USER_POINTS);
    await this.#consumeFrom(this.#allowanceOf(`new-users:${networkOf(address)}`, limit), 1);
  }

  /** Fetches points for a caller that will need them soon, without waiting. */
  prefetch(caller: string): void {
    const allowance = this.#allowanceOf(caller, this.#points);
    if (allowance.left === 0 || this.#isOver(allowance)) this.#prefetchFor(allowance);
  }

  /**
   * Charges an operation: whole points, at least one. One point if computing its cost fails, which the operation itself
   * reports. @throws RATE_LIMITED
   */
  async charge(caller: string, cost: number | Promise<number>): Promise<RateState> {
    const points = typeof cost === 'number' ? cost : await cost.catch(() => 1);
    return this.consume(caller, Math.max(1, Math.ceil(points)));
  }

  /** @throws RATE_LIMITED if the window has fewer points left; none are spent then */
  consume(caller: string, cost: number): Promise<RateState> {
    return this.#consumeFrom(this.#allowanceOf(caller, this.#points), cost);
  }

  async #consumeFrom(allowance: Allowance, cost: number): Promise<RateState> {
    while (allowance.left < cost || this.#isOver(allowance)) {
      if (cost > allowance.limit || !this.#mayHaveMore(allowance))
        throw rateLimited(this.#stateOf(allowance, cost), allowance.key);
      await this.#fetchPoints(allowance, cost - allowance.left);
    }
    allowance.left -= cost;
    // Early enough that the next requests need not wait.
    if (allowance.left < this.#prefetchSize(allowance) / 2) this.#prefetchFor(allowance);
    return this.#stateOf(allowance, cost);
  }

  #allowanceOf(key: string, limit: number): Allowance {
    const known = this.#allowances.get(key);
    if (known !== undefined) return known;
    const made = { key, limit, left: 0, remaining: limit, endsAtMs: -Infinity, taking: undefined };
    this.#allowances.set(key, made);
    return made;
  }

  #mayHaveMore(allowance: Allowance): boolean {
    return allowance.remaining > 0 || this.#isOver(allowance);
  }

  /** Whether the allowance's window has ended. */
  #isOver({ endsAtMs }: Allowance): boolean {
    return this.#clock.monotonicMs() >= endsAtMs;
  }

  #prefetchFor(allowance: Allowance): void {
    // Reported to the request that needs the points.
    if (this.#mayHaveMore(allowance)) this.#fetchPoints(allowance, 1).catch(() => {});
  }

  #prefetchSize({ limit }: Allowance): number {
    return Math.ceil(limit / PREFETCHES_PER_WINDOW);
  }

  #fetchPoints(allowance: Allowance, needed: number): Promise<void> {
    allowance.taking ??= this.#source
      .take(allowance.key, Math.max(needed, this.#prefetchSize(allowance)), {
        limit: allowance.limit,
        seconds: this.#seconds,
      })
      .then(({ granted, remaining, resetMs }) => {
        const nowMs = this.#clock.monotonicMs();
        allowance.left = granted + (this.#isOver(allowance) ? 0 : allowance.left);
        allowance.remaining = remaining;
        allowance.endsAtMs = nowMs + Math.max(1, resetMs);
      })
      .finally(() => {
        allowance.taking = undefined;
      });
    return allowance.taking;
  }

  #stateOf({ limit, left, remaining, endsAtMs }: Allowance, cost: number): RateState {
    const resetMs = Math.max(0, endsAtMs - this.#clock.monotonicMs());
    const resetAt = new Date(this.#clock.nowMs() + resetMs).toISOString();
    return { limit, cost, remaining: remaining + left, resetAt, resetMs };
  }
}

/** The caller that is charged: the viewer, or the address without a viewer. */
export function callerOf({ userId }: { readonly userId: string | undefined }, address: string): string {
  return userId === undefined ? `anonymous:${networkOf(address)}` : `viewer:${userId}`;
}

/** By the errors that say so. Not in their extensions, which clients see. */
const reached = new WeakMap<object, RateLimitName>();

/** The limit that an error with the code RATE_LIMITED is about. Other files throw it for processing time alone. */
export function limitReached(error: object): RateLimitName {
  return reached.get(error) ?? 'time';
}

function rateLimited(state: RateState, key: string): GraphQLError {
  const { limit, cost, remaining, resetAt, resetMs } = state;
  const headers = headerMap([...headersOf(state), ['retry-after', String(secondsOf(resetMs))]]);
  const message = `Too many requests: this one costs ${cost} of ${limit} points, of which ${remaining} are left.`;
  const http = { status: 429, headers };
  const extensions: Record<string, unknown> = { code: 'RATE_LIMITED', limit, remaining, resetAt, http };
  const error = new GraphQLError(message, { extensions });
  reached.set(error, key.slice(0, key.indexOf(':')) as RateLimitName); // keys begin with the name of their limit
  return error;
}

export function headersOf({ limit, remaining, resetMs }: RateState): [string, string][] {
  return [
    ['ratelimit-limit', String(limit)],
    ['ratelimit-remaining', String(remaining)],
    ['ratelimit-reset', String(secondsOf(resetMs))],
  ];
}

/** Rounded up, so that waiting this long is always enough. */
function secondsOf(ms: number): number {
  return Math.ceil(ms / SECOND);
}

/**
 * For IPv6 the network of 64 bits, since one customer has 2^64 addresses. A text that is not an IPv6 address is
 * returned unchanged.
 */
export function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  const ipv6 = ipaddr.IPv6.parse(address);
  if (ipv6.isIPv4MappedAddress()) return ipv6.toIPv4Address().toString();
  return `${new ipaddr.IPv6([...ipv6.parts.slice(0, 4), 0, 0, 0, 0])}/64`;
}
