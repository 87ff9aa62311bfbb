/**
 * Counts the points of rate limits for all processes, in Redis, on a connection of its own. If Redis does not respond
 * immediately, points are counted in this process: each process then grants the whole limit by itself, which is neither
 * unlimited access nor an outage.
 */
import { once } from 'node:events';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { systemClock } from '../../engine/cache/index.js';
import type { RedisPlace } from '../../engine/redis/index.js';
import { CircuitBreaker, type Connection, openConnection, withTimeout } from '../../engine/redis/index.js';
import type { PointGrant, PointSource } from './rate-limit.js';

/** After three failures in a row only one request per half second waits for Redis. */
const WAIT_MS = 30;
const CONNECT_MS = 1000;

export interface RatePointsOptions {
  /** Absent: points are counted in this process only. */
  readonly redis?: RedisPlace | undefined;
  /** Prefix of this application's keys in a shared Redis. Defaults to `tasks`. */
  readonly group?: string;
  /** How long a request may wait for Redis, in ms. Defaults to 30. */
  readonly waitMs?: number;
  /** Whether the keys in Redis can be used now. Otherwise this process counts alone. Default: always. */
  readonly owned?: () => boolean;
  /** Called for every failed attempt. */
  readonly onFailure?: (error: unknown) => void;
}

export class RatePoints implements PointSource {
  readonly #connection: Connection | undefined;
  readonly #group: string;
  readonly #waitMs: number;
  readonly #owned: () => boolean;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  readonly #breaker = new CircuitBreaker(systemClock);
  /** By limit and seconds; the code has only a few limits. */
  readonly #limiters = new Map<string, RateLimiterRedis | RateLimiterMemory>();

  constructor({ redis, group = 'tasks', waitMs = WAIT_MS, owned = () => true, onFailure }: RatePointsOptions) {
    this.#connection = redis && openConnection(redis, { waitMs: CONNECT_MS });
    this.#group = group;
    this.#waitMs = waitMs;
    this.#owned = owned;
    this.#onFailure = onFailure;
  }

  async take(key: string, points: number, { limit, seconds }: { limit: number; seconds: number }): Promise<PointGrant> {
    const answer = await consume(this.#limiterOf(limit, seconds), key, points);
    const over = Math.max(0, answer.consumedPoints - limit);
    return {
      granted: Math.max(0, points - over),
      remaining: Math.max(0, limit - answer.consumedPoints),
      resetMs: answer.msBeforeNext,
    };
  }

  /** Whether the next request is expected to be counted for all processes. */
  get connected(): boolean {
    return this.#connection?.client.status === 'ready' && this.#connection.selected && this.#owned();
  }

  /** Called at start, because otherwise the first windows would be local. Waits for one connection attempt at most. */
  async ready(): Promise<void> {
    const client = this.#connection?.client;
    if (client === undefined || client.status === 'ready') return;
    await withTimeout(once(client, 'ready'), CONNECT_MS).catch(() => {});
  }

  close(): void {
    this.#connection?.end();
  }

  #limiterOf(limit: number, seconds: number): RateLimiterRedis | RateLimiterMemory {
    const name = `${limit}/${seconds}`;
    const known = this.#limiters.get(name);
    if (known !== undefined) return known;
    const options = { points: limit, duration: seconds, keyPrefix: `rate:${this.#group}:${name}` };
    // Its keys expire with their window, so its size is bounded by the callers seen during one outage window.
    const own = new RateLimiterMemory(options);
    const redis = this.#connection && { storeClient: this.#nodeRedis(this.#connection), useRedisPackage: true };
    const made = redis ? new RateLimiterRedis({ ...options, ...redis, insuranceLimiter: own }) : own;
    this.#limiters.set(name, made);
    return made;
  }

  /** The one method that the limiter calls of a client of node-redis. If it fails, the insurance limiter counts. */
  #nodeRedis(connection: Connection) {
    return {
      eval: async (script: string, { keys, arguments: values }: { keys: string[]; arguments: string[] }) => {
        if (!connection.selected || !this.#owned() || !this.#breaker.allows()) throw new Error('Redis is not used now');
        try {
          const sent = connection.client.eval(script, keys.length, ...keys, ...values);
          const reply = await withTimeout(sent, this.#waitMs);
          this.#breaker.succeeded();
          return reply;
        } catch (error) {
          this.#breaker.failed();
          this.#onFailure?.(error);
          throw error;
        }
      },
    };
  }
}

/** The library rejects with the result if there were too few points. */
async function consume(limiter: RateLimiterRedis | RateLimiterMemory, key: string, points: number) {
  try {
    return await limiter.consume(key, points);
  } catch (answer) {
    if (answer instanceof RateLimiterRes) return answer;
    throw answer;
  }
}
