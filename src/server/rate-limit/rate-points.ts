/**
 * Where the points of rate limits are counted, for all processes: in Redis, on a connection of its own. When Redis does not
 * answer at once, in this process: then each process grants the whole limit by itself, which is neither an open door nor an outage.
 */
import { once } from 'node:events';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { systemClock } from '../../engine/cache/index.js';
import type { RedisPlace } from '../../engine/redis/index.js';
import { CircuitBreaker, type Connection, openConnection, withTimeout } from '../../engine/redis/index.js';
import type { PointGrant, PointSource } from './rate-limit.js';

/** After three failures in a row no request waits for Redis, but one in half a second. */
const WAIT_MS = 30;
const CONNECT_MS = 1000;

export interface RatePointsOptions {
  /** Absent: this process alone. */
  readonly redis?: RedisPlace | undefined;
  /** Names this application's keys in a shared Redis. Default `tasks`. */
  readonly group?: string;
  /** How long a request may wait for Redis, ms. Default 30. */
  readonly waitMs?: number;
  /** Whether the keys in Redis may be used now. While not, this process counts by itself. Default: always. */
  readonly owned?: () => boolean;
  /** Told of every attempt that failed. */
  readonly onFailure?: (error: unknown) => void;
}

/** One limiter for each limit and length of a window. */
interface Limiters {
  readonly shared: RateLimiterRedis | undefined;
  /** Its keys end with their windows; between, there are as many as there were callers in an outage. */
  readonly own: RateLimiterMemory;
}

export class RatePoints implements PointSource {
  readonly #connection: Connection | undefined;
  readonly #group: string;
  readonly #waitMs: number;
  readonly #owned: () => boolean;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  readonly #breaker = new CircuitBreaker(systemClock);
  /** By limit and seconds: as many as the code has limits. */
  readonly #limiters = new Map<string, Limiters>();

  constructor({ redis, group = 'tasks', waitMs = WAIT_MS, owned = () => true, onFailure }: RatePointsOptions) {
    this.#connection = redis && openConnection(redis, { waitMs: CONNECT_MS });
    this.#group = group;
    this.#waitMs = waitMs;
    this.#owned = owned;
    this.#onFailure = onFailure;
  }

  async take(key: string, points: number, { limit, seconds }: { limit: number; seconds: number }): Promise<PointGrant> {
    const { shared, own } = this.#limitersOf(limit, seconds);
    const answer = (await this.#shared(shared, key, points)) ?? (await consume(own, key, points));
    const over = Math.max(0, answer.consumedPoints - limit);
    return {
      granted: Math.max(0, points - over),
      remaining: Math.max(0, limit - answer.consumedPoints),
      resetMs: answer.msBeforeNext,
    };
  }

  /** Whether the next request will be counted for all processes, as far as is known. */
  get connected(): boolean {
    return this.#connection?.client.status === 'ready' && this.#connection.selected && this.#owned();
  }

  /** At start: else the first windows would be this process's alone. Waits at most for one attempt to connect. */
  async ready(): Promise<void> {
    const client = this.#connection?.client;
    if (client === undefined || client.status === 'ready') return;
    await withTimeout(once(client, 'ready'), CONNECT_MS).catch(() => {});
  }

  close(): void {
    this.#connection?.end();
  }

  async #shared(limiter: RateLimiterRedis | undefined, key: string, points: number) {
    if (limiter === undefined || this.#connection?.selected !== true || !this.#owned()) return undefined;
    if (!this.#breaker.allows()) return undefined;
    try {
      const answer = await withTimeout(consume(limiter, key, points), this.#waitMs);
      this.#breaker.succeeded();
      return answer;
    } catch (error) {
      this.#breaker.failed();
      this.#onFailure?.(error);
      return undefined;
    }
  }

  #limitersOf(limit: number, seconds: number): Limiters {
    const name = `${limit}/${seconds}`;
    const known = this.#limiters.get(name);
    if (known !== undefined) return known;
    const options = { points: limit, duration: seconds, keyPrefix: `rate:${this.#group}:${name}` };
    const made = {
      shared: this.#connection && new RateLimiterRedis({ ...options, storeClient: this.#connection.client }),
      own: new RateLimiterMemory(options),
    };
    this.#limiters.set(name, made);
    return made;
  }
}

/** The library rejects with the very answer when there were too few points. */
async function consume(limiter: RateLimiterRedis | RateLimiterMemory, key: string, points: number) {
  try {
    return await limiter.consume(key, points);
  } catch (answer) {
    if (answer instanceof RateLimiterRes) return answer;
    throw answer;
  }
}
