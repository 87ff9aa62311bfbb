/**
 * The store in Redis: one server, Sentinel's primary, or a Cluster. Strings for entries, tokens, fences and positions,
 * a sorted set for released ids, a stream for the log of invalidations, hashes for statistics, pub/sub for what was
 * released; the lease and its barrier are strings that are not replicated and carry the server's run id in their names.
 *
 * All keys of a group share one hash tag; one command never touches two. Every call is bounded by `waitMs` and fails at
 * once while there is no connection; a call that ran out of time drops the connection.
 */

import type { ChainableCommander, Cluster, Redis } from 'ioredis';
import { Binding } from '../cache/binding.js';
import type { Lease } from '../cache/entry.js';
import type { Key } from '../cache/key.js';
import { RecentMap } from '../cache/recent-map.js';
import {
  type ApplyReply,
  type FenceOptions,
  type FenceReply,
  type Fill,
  type Head,
  LOG_GROUP,
  type LogMark,
  type LogSlice,
  MAX_NOTES_PER_READ,
  MAX_RECORDS_PER_READ,
  type OrphanFence,
  type ReleaseOptions,
  type Store,
  type StoreConnections,
  type StoreEvent,
  type StoreReadOptions,
  type Tick,
  TOKEN_TTL_MS,
  type View,
} from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import { type Clock, systemClock } from '../cache/time.js';
import { randomToken } from '../cache/token.js';
import type { Group, Part } from './groups.js';
import { Groups, unavailable } from './groups.js';
import { RedisInspection } from './inspection.js';
import { entryKey, protocolKey, refreshKey, runKey, tagKey, tagKeys } from './key-layout.js';
import { listenTo } from './listener.js';
import type { OutageListener } from './outage.js';
import type { RedisPlace } from './place.js';
import { RedisSamples } from './samples.js';
import { fillScript, isUnknownScript, mintScript, repliesOf, runScript } from './scripts.js';
import { RedisSharedValues } from './shared-values.js';
import { endOf, fencedTags, readLease, readMessage, sinceMark } from './wire-format.js';
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
const MAX_KEPT_TOKENS = 1000;
/** Up to so many tags get a token, or entries are stored, by a command each; more by one script. */
const MAX_SINGLY = 3;

interface GroupRead {
  readonly names: string[];
  readonly tagsFrom: number | undefined;
  readonly singly: readonly string[];
  readonly log: LogMark | 'tail' | undefined;
  readonly notes: boolean;
}

/** A `View` while its groups are being read. */
interface Found {
  readonly leases: (Lease | undefined)[];
  readonly entries: Map<Key, string>;
  readonly tokens: Map<Tag, string>;
  log: LogSlice | undefined;
  fenced: ReadonlySet<Tag> | undefined;
}

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly groups: number;
  /** Where released tags are published, as `{"xid": "…", "tags": […]}`. */
  readonly channel: string;
  readonly #place: RedisPlace;
  readonly #waitMs: number;
  /** Tags whose tokens this process has seen: a plain read will find them there, unless they have gone since. */
  readonly #knownTokens = new RecentMap<Tag, true>(MAX_KNOWN_TOKENS);
  /** Tags that got a token by a RELEASE of this process, until the record of its FENCE is read. */
  readonly #keptTokens = new RecentMap<Tag, true>(MAX_KEPT_TOKENS);
  readonly #groups: Groups;
  readonly #protocol: RedisWriteProtocol;
  readonly #values: RedisSharedValues;
  readonly samples: RedisSamples;
  readonly inspection: RedisInspection;
  readonly #binding = new Binding();

  constructor(options: RedisStoreOptions) {
    const { group = 'tasks', waitMs = 250, clock = systemClock, onLimit = () => {}, onOutage, ...place } = options;
    this.#place = place;
    this.#waitMs = waitMs;
    this.#groups = new Groups({ place, group, waitMs, clock, onLimit, onOutage });
    this.#values = new RedisSharedValues(this.#groups, () => this.#requireOwned());
    this.samples = new RedisSamples(this.#groups, () => this.#requireOwned());
    this.inspection = new RedisInspection(this.#groups);
    this.groups = this.#groups.all.length;
    this.channel = `inv:{${group}}`;
    this.#protocol = new RedisWriteProtocol({ groups: this.#groups, clock, channel: this.channel });
  }

  /**
   * Resolves when the store answers, or after `waitMs`: a process may start without Redis.
   * @throws CacheError DATABASE_REFUSED when the server refuses the database that the URL names, SERVER_TOO_OLD
   */
  ready(): Promise<void> {
    return this.#groups.ready();
  }

  get connections(): StoreConnections {
    return this.#groups.observed;
  }

  groupOf(name: Key | Tag): number {
    return this.#groups.indexOf(name);
  }

  bind(database: () => string | undefined, owned?: () => boolean): void {
    this.#binding.set(database, owned);
  }

  async read(keys: readonly Key[], tags: readonly Tag[], options: StoreReadOptions = {}): Promise<View> {
    const found: Found = {
      leases: new Array(this.groups).fill(undefined),
      entries: new Map(),
      tokens: new Map(),
      log: undefined,
      fenced: undefined,
    };
    const parts = this.#groups.split({ keys, tags }, options.log === undefined ? [] : [LOG_GROUP]);
    const results = await Promise.allSettled(
      parts.map((part) =>
        this.#groups.reading(part.group, 'READ', (client, { run }) =>
          this.#readPart(client, part, { ...options, run }, found),
        ),
      ),
    );
    // A group that cannot be read counts as one without a lease. Only if no group can be read does the read fail.
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined && results.every(({ status }) => status === 'rejected')) throw failed.reason;
    return found;
  }

  /** Reads one group's part, as of the server whose run is `run`, into `into`. */
  async #readPart(
    client: Redis | Cluster,
    { group, keys, tags }: Part,
    { run, log, mint: minting, fenced }: StoreReadOptions & { readonly run: string },
    into: Found,
  ): Promise<void> {
    const mint = minting === true && this.#binding.owned;
    const names = [runKey('ok', group, run)];
    for (const key of keys) names.push(entryKey(group, key));
    for (const tag of tags) names.push(tagKey(group, tag));
    const unknown = mint ? tags.filter((tag) => this.#knownTokens.get(tag) === undefined) : [];
    const singly = unknown.length > MAX_SINGLY ? [] : unknown;
    const asked = group.index === LOG_GROUP ? log : undefined;
    const tagsFrom = unknown.length > MAX_SINGLY ? 1 + keys.length : undefined;
    const askedNotes = fenced === true && this.groups === 1;
    const wanted = { names, tagsFrom, singly: tagKeys(group, singly), log: asked, notes: askedNotes };
    const { found, minted, records, notes } = await this.#readGroup(client, group, wanted);
    if (asked !== undefined) into.log = this.#noteLog(asked === 'tail' ? endOf(records) : sinceMark(asked, records));
    if (askedNotes) into.fenced = fencedTags(notes);
    gather(into.entries, keys, found.slice(1));
    gather(into.tokens, tags, found.slice(1 + keys.length));
    gather(into.tokens, singly, minted);
    if (mint && tagsFrom === undefined) {
      const missing = tags.filter((tag) => !into.tokens.has(tag) && !singly.includes(tag));
      await this.#mint(client, group, missing, into.tokens);
    }
    for (const tag of tags) this.#noteToken(tag, into.tokens.get(tag));
    const lease = readLease(found[0]);
    if (lease !== undefined && this.#binding.believes(lease.purge)) into.leases[group.index] = lease;
  }

  /** A RELEASE leaves nothing where there was a fence. */
  #noteToken(tag: Tag, text: string | undefined): void {
    if (text === undefined || text.startsWith('!')) this.#knownTokens.delete(tag);
    else this.#knownTokens.set(tag, true);
  }

  /** What the log says of its end, and of the tags that have lost their tokens. */
  #noteLog(log: LogSlice): LogSlice {
    this.#protocol.noteLog(log.kind === 'gap' ? undefined : log.mark);
    for (const tag of log.kind === 'records' ? log.records.flat() : []) {
      if (this.#keptTokens.get(tag) === undefined) this.#knownTokens.delete(tag);
      else this.#keptTokens.delete(tag);
    }
    return log;
  }

  #requireOwned(): void {
    if (!this.#binding.owned) throw unavailable(new Error('these keys are not known to be those of this database'));
  }

  /** Tokens for tags that had one when this process saw them last. */
  async #mint(client: Redis | Cluster, group: Group, tags: readonly Tag[], tokens: Map<Tag, string>): Promise<void> {
    if (tags.length === 0) return;
    const wanted = { names: tagKeys(group, tags), tagsFrom: 0, singly: [], log: undefined, notes: false };
    const { found } = await this.#readGroup(client, group, wanted);
    gather(tokens, tags, found);
  }

  /**
   * Reads the names, the log and the notes of fences, on one connection. From the name `tagsFrom` on, names without a
   * text get a fresh token, and so do those of `singly`: `minted`.
   */
  async #readGroup(client: Redis | Cluster, group: Group, { names, tagsFrom, singly, log, notes }: GroupRead) {
    const token = randomToken();
    const ask = async (minting: 'by digest' | 'whole') => {
      const pipeline = client.pipeline();
      if (tagsFrom === undefined) pipeline.mget(names);
      else {
        const args = [...names, tagsFrom, TOKEN_TTL_MS, token];
        if (minting === 'whole') pipeline.eval(mintScript.text, names.length, ...args);
        else pipeline.evalsha(mintScript.sha1, names.length, ...args);
      }
      for (const name of singly) pipeline.set(name, token, 'PX', TOKEN_TTL_MS, 'NX', 'GET');
      if (log !== undefined) this.#askLog(pipeline, group, log);
      if (notes) pipeline.zrange(protocolKey('fen', group), 0, MAX_NOTES_PER_READ);
      const results = (await pipeline.exec()) ?? [];
      return { sets: results.splice(1, singly.length), replies: repliesOf(results) };
    };
    const { sets, replies } = await ask('by digest').catch((error) => {
      if (!isUnknownScript(error)) throw error;
      return ask('whole');
    });
    const [found, records] = replies;
    return {
      found: found as (string | null)[],
      // A server that takes no writes still answers: then nothing can be stored under the tag.
      minted: sets.map(([error, held]) => (error === null ? ((held as string | null) ?? token) : null)),
      records,
      notes: replies.at(-1),
    };
  }

  async fill(fills: readonly Fill[]): Promise<void> {
    if (!this.#binding.owned) return;
    const own = fills.filter(({ text }) => this.#binding.allows(text));
    const byKey = new Map(own.map((fill) => [fill.key, fill]));
    await Promise.all(
      this.#groups.split({ keys: [...byKey.keys()], tags: [] }).map(({ group, keys }) =>
        this.#groups.reading(group, 'FILL', async (client) => {
          const names = keys.map((key) => entryKey(group, key));
          const args = keys.map((key) => byKey.get(key) as Fill);
          if (keys.length > MAX_SINGLY) {
            await runScript(
              client,
              fillScript,
              names,
              args.flatMap(({ text, ttlMs }) => [text, ttlMs]),
            );
          } else {
            await Promise.all(args.map(({ text, ttlMs }, i) => client.set(names[i] as string, text, 'PX', ttlMs)));
          }
        }),
      ),
    );
  }

  async tryLockRefresh(key: Key, ttlMs: number): Promise<boolean> {
    if (!this.#binding.owned) return false;
    const group = this.#groups.at(this.groupOf(key));
    return this.#groups.reading(group, 'LOCK REFRESH', async (client) => {
      return (await client.set(refreshKey(group, key), '1', 'PX', ttlMs, 'NX')) === 'OK';
    });
  }

  fence(xid: bigint, tags: readonly Tag[], options: FenceOptions): Promise<FenceReply> {
    return this.#protocol.fence(xid, tags, options);
  }

  async release(xid: bigint, tags: readonly Tag[], options?: ReleaseOptions): Promise<void> {
    const fills = options?.fills?.entries.filter(({ text }) => this.#binding.owned && this.#binding.allows(text));
    await this.#protocol.release(xid, tags, {
      ...{ unfenced: false, ...options },
      fills: fills && { token: options?.fills?.token ?? '', entries: fills },
    });
    // Probably: where an entry was not stored, its next reader looks for the token and then makes one.
    for (const tag of fills?.flatMap((fill) => fill.tags) ?? []) {
      this.#knownTokens.set(tag, true);
      this.#keptTokens.set(tag, true);
    }
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
