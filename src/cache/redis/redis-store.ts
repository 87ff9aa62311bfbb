/**
 * The store in one Redis (or Sentinel's primary): strings for entries, tokens and fences, a sorted set for released ids,
 * pub/sub for published invalidations; the lease and its barrier are strings that are not replicated and carry the server's
 * run id in their names. All keys share one hash tag. Every call is bounded by `waitMs` and fails at once while there is no
 * connection; a call that ran out of time drops the connection.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { type Clock, systemClock } from '../../time.js';
import { ENTRY_FORMAT } from '../entry.js';
import { CacheError } from '../errors.js';
import type { Key } from '../key.js';
import {
  type Applied,
  type Fill,
  type Head,
  LEASE_MS,
  MAX_RELEASED_KNOWN,
  type Position,
  type Store,
  type Tick,
  TOKEN_TTL_MS,
  type View,
} from '../store.js';
import type { Tag } from '../tag.js';
import { randomToken } from '../token.js';
import { applyScript, fenceScript, releaseScript, runScript } from './scripts.js';

export interface RedisStoreOptions {
  readonly url: string;
  /** Names this application's keys in a shared Redis: letters, digits, `-`, `_`. Default `tasks`. */
  readonly group?: string;
  /** How long one call may take, ms. Default 250. A reader waits this long at most before it asks Postgres. */
  readonly waitMs?: number;
  readonly clock?: Clock;
}

/** An outage is only known while attempts keep failing; a longer silence than this between two failures starts it anew. */
const OUTAGE_GAP_MS = 1000;
const MAX_RECONNECT_MS = 500;
const READY_POLL_MS = 5;

export class RedisStore implements Store {
  readonly kind = 'redis';
  /** Where released tags are published, as `{"xid": "…", "tags": […]}`. */
  readonly channel: string;
  readonly #options: RedisOptions;
  readonly #url: string;
  readonly #group: string;
  readonly #waitMs: number;
  readonly #clock: Clock;
  readonly #reader: Redis;
  readonly #writer: Redis;
  readonly #ticker: Redis;
  /** The run id of the server that each live connection leads to. */
  readonly #runs = new WeakMap<Redis, string>();
  #lostSinceMs: number | undefined;
  #lastFailureMs = 0;

  constructor({ url, group = 'tasks', waitMs = 250, clock = systemClock }: RedisStoreOptions) {
    this.#url = url;
    this.#group = `{${group}}`;
    this.channel = `inv:${this.#group}`;
    this.#waitMs = waitMs;
    this.#clock = clock;
    this.#options = {
      // A command either goes out on a live connection now, or fails now: never queued, never sent twice.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      connectTimeout: waitMs,
      commandTimeout: waitMs,
      retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, MAX_RECONNECT_MS),
    };
    this.#reader = this.#connect();
    this.#writer = this.#connect();
    this.#ticker = this.#connect();
  }

  /** Resolves when the store answers, or after `waitMs`: a process may start without Redis. */
  async ready(): Promise<void> {
    const clients = [this.#reader, this.#writer, this.#ticker];
    const deadlineMs = this.#clock.monotonicMs() + this.#waitMs;
    while (!clients.every((client) => this.#runs.has(client)) && this.#clock.monotonicMs() < deadlineMs) {
      await this.#clock.sleep(READY_POLL_MS);
    }
  }

  read(keys: readonly Key[], tags: readonly Tag[]): Promise<View> {
    return this.#guard(this.#reader, async () => {
      const names = [this.#runName('ok', this.#runs.get(this.#reader))];
      for (const key of keys) names.push(this.#entry(key));
      for (const tag of tags) names.push(this.#tag(tag));
      const found = await this.#reader.mget(names);
      const entries = new Map<Key, string>();
      keys.forEach((key, i) => {
        const text = found[1 + i];
        if (typeof text === 'string') entries.set(key, text);
      });
      const tokens = new Map<Tag, string>();
      tags.forEach((tag, i) => {
        const token = found[1 + keys.length + i];
        if (typeof token === 'string') tokens.set(tag, token);
      });
      const [generation, purge] = found[0]?.split(':') ?? [];
      const lease = generation !== undefined && purge !== undefined ? { generation, purge } : undefined;
      return { lease, entries, tokens };
    });
  }

  mint(tags: readonly Tag[]): Promise<ReadonlyMap<Tag, string>> {
    return this.#guard(this.#reader, async () => {
      const pipeline = this.#reader.pipeline();
      const fresh = tags.map(() => randomToken());
      tags.forEach((tag, i) => {
        pipeline.call('SET', this.#tag(tag), fresh[i] as string, 'NX', 'GET', 'PX', TOKEN_TTL_MS);
      });
      const replies = await allOf(pipeline.exec());
      return new Map(tags.map((tag, i) => [tag, (replies[i] as string | null) ?? (fresh[i] as string)]));
    });
  }

  fill(fills: readonly Fill[]): Promise<void> {
    return this.#guard(this.#reader, async () => {
      const pipeline = this.#reader.pipeline();
      for (const { key, text, ttlMs } of fills) pipeline.set(this.#entry(key), text, 'PX', ttlMs);
      await allOf(pipeline.exec());
    });
  }

  fence(xid: bigint, tags: readonly Tag[], { fresh }: { fresh: boolean }): Promise<void> {
    const run = async (client: Redis) => {
      await runScript(client, fenceScript, this.#tags(tags), [String(xid)]);
    };
    return fresh ? this.#onNewConnection(run) : this.#guard(this.#writer, () => run(this.#writer));
  }

  release(xid: bigint, tags: readonly Tag[]): Promise<void> {
    return this.#release(String(xid), tags, 'record');
  }

  unfence(xids: readonly string[], tags: readonly Tag[]): Promise<void> {
    return this.#release(xids.join(','), tags, 'resolve');
  }

  head(): Promise<Head> {
    return this.#guard(this.#ticker, async () => {
      const run = this.#runs.get(this.#ticker);
      if (run === undefined) throw new Error('the connection does not know its server yet');
      const pipeline = this.#ticker.pipeline().time().get(this.#name('pos')).pttl(this.#runName('ok', run));
      pipeline.zrange(this.#name('rel'), 0, MAX_RELEASED_KNOWN - 1);
      const [time, position, pttl, released] = (await allOf(pipeline.exec())) as [
        string[],
        string | null,
        number,
        string[],
      ];
      return {
        clockMs: Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000),
        position: readPosition(position),
        leaseLeftMs: Math.max(0, pttl),
        run,
        released,
      };
    });
  }

  apply({ head, next, rows, barrier, grant }: Tick): Promise<Applied> {
    return this.#guard(this.#ticker, async () => {
      const keys = [
        this.#name('pos'),
        this.#name('rel'),
        this.#runName('ok', head.run),
        this.#runName('bar', head.run),
      ];
      const indexOf = new Map<Tag, number>();
      for (const tag of rows.flatMap(({ tags }) => tags)) {
        if (!indexOf.has(tag)) indexOf.set(tag, keys.push(this.#tag(tag)));
      }
      const packed = rows.map(({ xid, tags }) => {
        const indexes = tags.map((tag) => indexOf.get(tag));
        return [String(xid), randomToken(), message(String(xid), tags), indexes];
      });
      const reply = await runScript(this.#ticker, applyScript, keys, [
        head.run,
        head.position === undefined ? '' : positionText(head.position),
        positionText(next),
        barrier === undefined ? '' : String(barrier),
        head.clockMs,
        LEASE_MS,
        grant ? 'grant' : 'hold',
        randomToken(),
        TOKEN_TTL_MS,
        this.channel,
        JSON.stringify(packed),
      ]);
      return reply as Applied;
    });
  }

  lostForMs(): number {
    return this.#lostSinceMs === undefined ? 0 : this.#clock.monotonicMs() - this.#lostSinceMs;
  }

  async close(): Promise<void> {
    for (const client of [this.#reader, this.#writer, this.#ticker]) client.disconnect();
  }

  #release(xids: string, tags: readonly Tag[], mode: 'record' | 'resolve'): Promise<void> {
    return this.#guard(this.#writer, async () => {
      const keys = [this.#name('rel'), ...this.#tags(tags)];
      const args = [xids, randomToken(), TOKEN_TTL_MS, mode, this.channel, message(xids, tags)];
      await runScript(this.#writer, releaseScript, keys, args);
    });
  }

  #name(name: string): string {
    return `${name}:${this.#group}`;
  }

  /**
   * The lease and its barrier speak of one run of one server. Not replicating them is not enough: a snapshot, the base of an
   * append-only file and a full resync copy them, to be found by a server that has lost what came after.
   */
  #runName(name: string, run: string | undefined): string {
    return `${this.#name(name)}:${run ?? '?'}`;
  }

  #entry(key: Key): string {
    return `e${ENTRY_FORMAT}:${this.#group}:${key}`;
  }

  #tag(tag: Tag): string {
    return `t:${this.#group}:${tag}`;
  }

  #tags(tags: readonly Tag[]): string[] {
    return tags.map((tag) => this.#tag(tag));
  }

  #connect(options: RedisOptions = {}): Redis {
    const client = new Redis(this.#url, { ...this.#options, ...options });
    client.on('error', () => {}); // every command reports its own failure; the event only repeats it
    client.on('ready', async () => {
      const info = await client.info('server').catch(() => '');
      const run = /run_id:(\w+)/.exec(info)?.[1];
      if (run !== undefined) this.#runs.set(client, run);
      else if (client.status === 'ready') client.disconnect(true);
    });
    client.on('close', () => this.#runs.delete(client));
    return client;
  }

  async #onNewConnection<T>(run: (client: Redis) => Promise<T>): Promise<T> {
    const client = this.#connect({ lazyConnect: true, retryStrategy: () => null });
    try {
      return await this.#guard(client, async () => {
        await bounded(client.connect(), this.#waitMs);
        return await run(client);
      });
    } finally {
      client.disconnect();
    }
  }

  /** Turns every failure into STORE_UNAVAILABLE, keeps account of the outage, and leaves a connection that does not answer. */
  async #guard<T>(client: Redis, run: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const value = await run();
      this.#lostSinceMs = undefined;
      return value;
    } catch (error) {
      const nowMs = this.#clock.monotonicMs();
      const silentMs = startedMs - this.#lastFailureMs;
      if (this.#lostSinceMs === undefined || silentMs > OUTAGE_GAP_MS) this.#lostSinceMs = startedMs;
      this.#lastFailureMs = nowMs;
      const timedOut = error instanceof Error && error.message === 'Command timed out';
      if (timedOut && client.status === 'ready') client.disconnect(true);
      throw new CacheError('STORE_UNAVAILABLE', `Redis: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

function readPosition(text: string | null): Position | undefined {
  const [xid, purge] = text?.split(':') ?? [];
  return xid !== undefined && purge !== undefined && /^\d+$/.test(xid) ? { xid: BigInt(xid), purge } : undefined;
}

function positionText({ xid, purge }: Position): string {
  return `${xid}:${purge}`;
}

function message(xid: string, tags: readonly Tag[]): string {
  return JSON.stringify({ xid, tags });
}

/** The replies of a pipeline, or its first error. */
async function allOf(exec: Promise<[Error | null, unknown][] | null>): Promise<unknown[]> {
  const replies = (await exec) ?? [];
  return replies.map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

async function bounded<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Command timed out')), ms);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
