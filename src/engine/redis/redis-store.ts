/**
 * The store in Redis: one server, Sentinel's primary, or a Cluster. Strings for entries, tokens, fences and positions,
 * a sorted set for released ids, a stream for the log of invalidations, hashes for statistics, pub/sub for what was
 * released; the lease and its barrier are strings that are not replicated and carry the server's run id in their names.
 *
 * All keys of a group share one hash tag; one command never touches two. Every call is bounded by `waitMs` and fails at
 * once while there is no connection; a call that ran out of time drops the connection.
 */

import type { ChainableCommander, Cluster, Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { Binding } from '../cache/binding.js';
import { type Lease, leaseOf } from '../cache/entry.js';
import type { Key } from '../cache/key.js';
import {
  type ApplyReply,
  type FenceReply,
  type Fill,
  type Head,
  LOG_GROUP,
  type LogMark,
  type LogSlice,
  MAX_RECORDS_PER_READ,
  type OrphanFence,
  type Store,
  type StoreEvent,
  type StoreReadOptions,
  type Tick,
  TOKEN_TTL_MS,
  type View,
} from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import { type Clock, systemClock } from '../cache/time.js';
import { randomToken } from '../cache/token.js';
import type { RedisPlace } from './connection.js';
import type { Group } from './groups.js';
import { Groups, unavailable } from './groups.js';
import { entryKey, protocolKey, refreshKey, runKey, tagKey, tagKeys } from './key-layout.js';
import { listenTo } from './listener.js';
import type { OutageListener } from './outage.js';
import { allOf, fillScript, isUnknownScript, mintScript, runScript } from './scripts.js';
import { RedisSharedValues } from './shared-values.js';
import { endOf, readMessage, sinceMark } from './wire-format.js';
import { RedisWriteProtocol } from './write-protocol.js';

export type RedisStoreOptions = RedisPlace & {
  /** Names this application's keys in a shared Redis: letters, digits, `-`, `_`. Default `tasks`. */
  readonly group?: string;
  /** How long one call may take, ms. Default 250. A reader waits this long at most before it asks Postgres. */
  readonly waitMs?: number;
  readonly clock?: Clock;
  /** Called once for each feature that this Redis lacks, with what follows from it. */
  readonly onLimit?: (text: string) => void;
  /** Hears of outages after which writes commit without a fence. */
  readonly onOutage?: OutageListener;
};

/** Tags whose tokens are looked for before one is made. */
const MAX_KNOWN_TOKENS = 50_000;

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly groups: number;
  /** Where released tags are published, as `{"xid": "…", "tags": […]}`. */
  readonly channel: string;
  readonly #place: RedisPlace;
  readonly #waitMs: number;
  /** Tags whose tokens this process has seen: a plain read will find them there, unless they have expired since. */
  readonly #knownTokens = new LRUCache<Tag, true>({ max: MAX_KNOWN_TOKENS });
  readonly #groups: Groups;
  readonly #protocol: RedisWriteProtocol;
  readonly #values: RedisSharedValues;
  readonly #binding = new Binding();

  constructor(options: RedisStoreOptions) {
    const { group = 'tasks', waitMs = 250, clock = systemClock, onLimit = () => {}, onOutage, ...place } = options;
    this.#place = place;
    this.#waitMs = waitMs;
    this.#groups = new Groups({ place, group, waitMs, clock, onLimit, onOutage });
    this.#values = new RedisSharedValues(this.#groups, () => this.#requireOwned());
    this.groups = this.#groups.all.length;
    this.channel = `inv:{${group}}`;
    this.#protocol = new RedisWriteProtocol({ groups: this.#groups, clock, channel: this.channel });
  }

  /**
   * Resolves when the store answers, or after `waitMs`: a process may start without Redis.
   * @throws CacheError DATABASE_REFUSED when the server refuses the database that the URL names
   */
  ready(): Promise<void> {
    return this.#groups.ready();
  }

  groupOf(name: Key | Tag): number {
    return this.#groups.indexOf(name);
  }

  bind(database: () => string | undefined, owned?: () => boolean): void {
    this.#binding.set(database, owned);
  }

  async read(keys: readonly Key[], tags: readonly Tag[], options: StoreReadOptions = {}): Promise<View> {
    const { log } = options;
    const mint = options.mint === true && this.#binding.owned;
    const entries = new Map<Key, string>();
    const tokens = new Map<Tag, string>();
    const leases: (Lease | undefined)[] = new Array(this.groups).fill(undefined);
    let logView: LogSlice | undefined;
    const parts = this.#groups.split({ keys, tags }, log === undefined ? [] : [LOG_GROUP]);
    const results = await Promise.allSettled(
      parts.map(({ group, keys, tags }) =>
        this.#groups.reading(group, 'read', async (client, { run }) => {
          const names = [runKey('ok', group, run)];
          for (const key of keys) names.push(entryKey(group, key));
          for (const tag of tags) names.push(tagKey(group, tag));
          const mints = mint && tags.some((tag) => this.#knownTokens.get(tag) === undefined);
          const asked = group.index === LOG_GROUP ? log : undefined;
          const tagsFrom = mints ? 1 + keys.length : undefined;
          const [found, records] = await this.#readGroup(client, group, { names, tagsFrom, log: asked });
          if (asked !== undefined) logView = asked === 'tail' ? endOf(records) : sinceMark(asked, records);
          gather(entries, keys, found.slice(1));
          gather(tokens, tags, found.slice(1 + keys.length));
          if (mint && !mints) await this.#mint(client, group, tags, tokens);
          for (const tag of tags) if (tokens.has(tag)) this.#knownTokens.set(tag, true);
          const [generation, purge, generations] = found[0]?.split(':') ?? [];
          if (generation !== undefined && purge !== undefined && this.#binding.believes(purge)) {
            leases[group.index] = leaseOf(generation, purge, generations);
          }
        }),
      ),
    );
    // A group that cannot be read counts as one without a lease. Only if no group can be read does the read fail.
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined && results.every(({ status }) => status === 'rejected')) throw failed.reason;
    return { leases, entries, tokens, log: logView };
  }

  #requireOwned(): void {
    if (!this.#binding.owned) throw unavailable(new Error('these keys are not known to be those of this database'));
  }

  /** Tokens for those of `tags` that have none in `tokens`: they had one when this process saw them last. */
  async #mint(client: Redis | Cluster, group: Group, tags: readonly Tag[], tokens: Map<Tag, string>): Promise<void> {
    const missing = tags.filter((tag) => !tokens.has(tag));
    if (missing.length === 0) return;
    const names = tagKeys(group, missing);
    const [held] = await this.#readGroup(client, group, { names, tagsFrom: 0, log: undefined });
    gather(tokens, missing, held);
  }

  /** Reads the names and the log. From the name `tagsFrom` on, names without a text get a fresh token. */
  async #readGroup(
    client: Redis | Cluster,
    group: Group,
    { names, tagsFrom, log }: { names: string[]; tagsFrom: number | undefined; log: LogMark | 'tail' | undefined },
  ): Promise<[found: readonly (string | null)[], records: unknown]> {
    const ask = (minting: 'by digest' | 'whole') => {
      const pipeline = client.pipeline();
      if (tagsFrom === undefined) pipeline.mget(names);
      else {
        const args = [...names, tagsFrom, TOKEN_TTL_MS, randomToken()];
        if (minting === 'whole') pipeline.eval(mintScript.text, names.length, ...args);
        else pipeline.evalsha(mintScript.sha1, names.length, ...args);
      }
      if (log !== undefined) this.#askLog(pipeline, group, log);
      return allOf(pipeline.exec());
    };
    const replies = await ask('by digest').catch((error) => {
      if (!isUnknownScript(error)) throw error;
      return ask('whole');
    });
    return [replies[0] as (string | null)[], replies[1]];
  }

  async fill(fills: readonly Fill[]): Promise<void> {
    if (!this.#binding.owned) return;
    const own = fills.filter(({ text }) => this.#binding.allows(text));
    const byKey = new Map(own.map((fill) => [fill.key, fill]));
    await Promise.all(
      this.#groups.split({ keys: [...byKey.keys()], tags: [] }).map(({ group, keys }) =>
        this.#groups.reading(group, 'write', async (client) => {
          const args = keys.flatMap((key) => {
            const { text, ttlMs } = byKey.get(key) as Fill;
            return [text, ttlMs];
          });
          await runScript(
            client,
            fillScript,
            keys.map((key) => entryKey(group, key)),
            args,
          );
        }),
      ),
    );
  }

  async tryLockRefresh(key: Key, ttlMs: number): Promise<boolean> {
    if (!this.#binding.owned) return false;
    const group = this.#groups.at(this.groupOf(key));
    return this.#groups.reading(group, 'write', async (client) => {
      return (await client.set(refreshKey(group, key), '1', 'PX', ttlMs, 'NX')) === 'OK';
    });
  }

  fence(
    xid: bigint,
    tags: readonly Tag[],
    options: { fresh: boolean; database?: string | undefined },
  ): Promise<FenceReply> {
    return this.#protocol.fence(xid, tags, options);
  }

  release(
    xid: bigint,
    tags: readonly Tag[],
    options?: { unfenced: boolean; database?: string | undefined },
  ): Promise<void> {
    return this.#protocol.release(xid, tags, options);
  }

  releaseFinished(
    xids: readonly string[],
    tags: readonly Tag[],
    options?: { database?: string | undefined },
  ): Promise<void> {
    return this.#protocol.releaseFinished(xids, tags, options);
  }

  releaseOrphans(
    orphans: readonly OrphanFence[],
    group?: number,
    options?: { database?: string | undefined },
  ): Promise<void> {
    return this.#protocol.releaseOrphans(orphans, group, options);
  }

  head(group?: number): Promise<Head> {
    return this.#protocol.head(group);
  }

  apply(tick: Tick, group?: number): Promise<ApplyReply> {
    return this.#protocol.apply(tick, group);
  }

  async invalidate(tags: readonly Tag[]): Promise<void> {
    this.#requireOwned();
    await this.#protocol.invalidate(tags);
  }

  subscribe(hear: (news: StoreEvent) => void): () => void {
    return listenTo(this.#place, this.channel, {
      waitMs: this.#waitMs,
      heard: (text) => {
        const news = readMessage(text);
        if (news !== undefined) hear(news);
      },
      gap: () => hear({ kind: 'disconnected' }),
    });
  }

  setText(name: string, text: string, ttlMs: number): Promise<void> {
    return this.#values.setText(name, text, ttlMs);
  }

  getText(name: string): Promise<string | undefined> {
    return this.#values.getText(name);
  }

  addCounters(day: string, counts: ReadonlyMap<string, number>): Promise<void> {
    return this.#values.addCounters(day, counts);
  }

  readCounters(day: string): Promise<ReadonlyMap<string, number>> {
    return this.#values.readCounters(day);
  }

  outageMs(tags?: readonly Tag[]): number {
    return this.#protocol.outageMs(tags);
  }

  async close(): Promise<void> {
    this.#groups.close();
  }

  #askLog(pipeline: ChainableCommander, group: Group, log: LogMark | 'tail'): ChainableCommander {
    const name = protocolKey('log', group);
    if (log === 'tail') return pipeline.xrevrange(name, '+', '-', 'COUNT', 1);
    // From the mark itself on: only if it is still there is nothing missing behind it. And one more than may be
    // answered.
    const before = `${log.epoch}-${log.sequence - 1}`;
    return pipeline.xread('COUNT', MAX_RECORDS_PER_READ + 2, 'STREAMS', name, before);
  }
}

/** Those of the names that have a text. */
function gather<N>(into: Map<N, string>, names: readonly N[], texts: readonly (string | null)[]): void {
  names.forEach((name, i) => {
    const text = texts[i];
    if (typeof text === 'string') into.set(name, text);
  });
}
