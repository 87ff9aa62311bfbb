/**
 * The store in Redis: one server, Sentinel's primary, or a Cluster. Strings for entries, tokens, fences and positions, a sorted
 * set for released ids, a stream for the log of invalidations, hashes for statistics, pub/sub for what was released; the lease
 * and its barrier are strings that are not replicated and carry the server's run id in their names.
 *
 * All keys of a group share one hash tag; one command never touches two. Every call is bounded by `waitMs` and fails at once
 * while there is no connection; a call that ran out of time drops the connection.
 */
import calculateSlot from 'cluster-key-slot';
import type { ChainableCommander, Cluster, Redis } from 'ioredis';
import { ENTRY_FORMAT, generationsText, type Lease, leaseOf } from '../cache/entry.js';
import { CacheError } from '../cache/errors.js';
import { GenerationalCache } from '../cache/generational-cache.js';
import type { Key } from '../cache/key.js';
import { databaseOf, mayStore } from '../cache/purge.js';
import {
  type ApplyReply,
  type FenceReply,
  type Fill,
  type Head,
  LEASE_MS,
  LOG_GROUP,
  type LogMark,
  type LogSlice,
  MAX_FORGOTTEN_PER_TICK,
  MAX_LOG_RECORDS,
  MAX_RECORDS_PER_READ,
  MAX_RELEASED_KNOWN,
  MAX_TEXTS,
  type OrphanFence,
  type Position,
  recordOf,
  type Store,
  type StoreEvent,
  type StoreReadOptions,
  type Tick,
  TOKEN_TTL_MS,
  type View,
} from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import { type Clock, DAY, systemClock } from '../cache/time.js';
import { randomEpoch, randomToken } from '../cache/token.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { type Connection, corkForNow, openConnection, type RedisPlace, type Server } from './connection.js';
import { listenTo } from './listener.js';
import { lostTogetherMs, Outage, type OutageListener, refusalText, reportedOnce } from './outage.js';
import {
  applyScript,
  fenceScript,
  fillScript,
  headScript,
  isUnknownScript,
  mintScript,
  releaseScript,
  runScript,
} from './scripts.js';
import { TIMED_OUT, withTimeout } from './with-timeout.js';

export type RedisStoreOptions = RedisPlace & {
  /** Names this application's keys in a shared Redis: letters, digits, `-`, `_`. Default `tasks`. */
  readonly group?: string;
  /** How long one call may take, ms. Default 250. A reader waits this long at most before it asks Postgres. */
  readonly waitMs?: number;
  readonly clock?: Clock;
  /** Told once for each thing that this Redis does not offer, and what follows from it. */
  readonly onLimit?: (text: string) => void;
  /** Hears of outages after which writes commit without a fence. */
  readonly onOutage?: OutageListener;
};

/** Of a Cluster: enough to spread over its shards, few enough that a read stays a handful of round trips in parallel. */
const CLUSTER_GROUPS = 16;
const READY_POLL_MS = 5;
/** Tags whose tokens are looked for before one is made. */
const MAX_TOKENED = 50_000;
const STATISTICS_TTL_MS = 8 * DAY;

/** One group: what its keys share, and how it has been to reach. */
interface Group {
  readonly index: number;
  readonly hashTag: string;
  readonly breaker: CircuitBreaker;
  readonly outage: Outage;
}

/**
 * What an attempt says about whether Redis takes writes. `fence`, `apply`: what they say themselves. `read`: nothing. `write`: nothing, since
 * some scripts begin with a command that a full server takes, and some writes need rights of their own.
 */
type Kind = 'read' | 'write' | 'fence' | 'apply';

/** What of a call belongs to one group. */
interface Part {
  readonly group: Group;
  readonly keys: readonly Key[];
  readonly tags: readonly Tag[];
}

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly groups: number;
  /** Where released tags are published, as `{"xid": "…", "tags": […]}`. */
  readonly channel: string;
  readonly #place: RedisPlace;
  readonly #waitMs: number;
  readonly #clock: Clock;
  readonly #onLimit: (text: string) => void;
  readonly #limits = new Set<string>();
  /** Tags whose tokens this process has seen: a plain read will find them there, unless they have expired since. */
  readonly #tokened = new GenerationalCache<Tag, true>(MAX_TOKENED);
  readonly #groups: readonly Group[];
  readonly #reader: Connection;
  readonly #writer: Connection;
  readonly #ticker: Connection;
  #database: (() => string | undefined) | undefined;
  #owned: () => boolean = () => true;

  constructor(options: RedisStoreOptions) {
    const { group = 'tasks', waitMs = 250, clock = systemClock, onLimit = () => {}, onOutage, ...place } = options;
    this.#place = place;
    this.#waitMs = waitMs;
    this.#clock = clock;
    this.#onLimit = onLimit;
    const names = 'cluster' in place ? Array.from({ length: CLUSTER_GROUPS }, (_, i) => `${group}-${i}`) : [group];
    this.groups = names.length;
    const outages = reportedOnce(onOutage ?? { began: () => {}, ended: () => {} });
    this.#groups = names.map((name, index) => ({
      index,
      hashTag: `{${name}}`,
      breaker: new CircuitBreaker(clock),
      outage: new Outage(clock, outages),
    }));
    this.channel = `inv:{${group}}`;
    this.#reader = openConnection(place, { waitMs });
    this.#writer = openConnection(place, { waitMs });
    this.#ticker = openConnection(place, { waitMs });
  }

  /**
   * Resolves when the store answers, or after `waitMs`: a process may start without Redis.
   * @throws CacheError DATABASE_REFUSED when the server refuses the database that the URL names
   */
  async ready(): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + this.#waitMs;
    const connections = [this.#reader, this.#writer, this.#ticker];
    const connected = (connection: Connection) =>
      this.#groups.every(({ hashTag }) => connection.serverOf(hashTag) !== undefined);
    while (!connections.every(connected) && this.#clock.monotonicMs() < deadlineMs) {
      const refusal = connections.find((connection) => connection.refusal !== undefined)?.refusal;
      if (refusal !== undefined) throw new CacheError('DATABASE_REFUSED', refusal.message, { cause: refusal });
      await this.#clock.sleep(READY_POLL_MS);
    }
    await this.#checkEviction();
  }

  /** Some managed servers tell nothing of their memory: then nothing is said. */
  async #checkEviction(): Promise<void> {
    if (this.#ticker.serverOf((this.#groups[LOG_GROUP] as Group).hashTag) === undefined) return;
    const info = await withTimeout(this.#ticker.client.info('memory'), this.#waitMs).catch(() => '');
    const policy = /maxmemory_policy:(allkeys-\w+)/.exec(info)?.[1];
    if (policy !== undefined)
      this.#limited(
        `maxmemory-policy ${policy} may evict fences and positions; expected volatile-lfu or another volatile-*`,
      );
  }

  groupOf(name: Key | Tag): number {
    return this.groups === 1 ? LOG_GROUP : calculateSlot(name) % this.groups;
  }

  bind(database: () => string | undefined, owned: () => boolean = () => true): void {
    this.#database = database;
    this.#owned = owned;
  }

  async read(keys: readonly Key[], tags: readonly Tag[], options: StoreReadOptions = {}): Promise<View> {
    const { log } = options;
    const mint = options.mint === true && this.#owned();
    const entries = new Map<Key, string>();
    const tokens = new Map<Tag, string>();
    const leases: (Lease | undefined)[] = new Array(this.groups).fill(undefined);
    let logView: LogSlice | undefined;
    const parts = this.#split({ keys, tags }, log === undefined ? [] : [LOG_GROUP]);
    const results = await Promise.allSettled(
      parts.map(({ group, keys, tags }) =>
        this.#reading(group, 'read', async (client, { run }) => {
          const names = [this.#runName('ok', group, run)];
          for (const key of keys) names.push(this.#entry(group, key));
          for (const tag of tags) names.push(this.#tag(group, tag));
          const mints = mint && tags.some((tag) => this.#tokened.get(tag) === undefined);
          const asked = group.index === LOG_GROUP ? log : undefined;
          const tagsFrom = mints ? 1 + keys.length : undefined;
          const [found, records] = await this.#readGroup(client, group, { names, tagsFrom, log: asked });
          if (asked !== undefined) logView = asked === 'end' ? endOf(records) : sinceMark(asked, records);
          gather(entries, keys, found.slice(1));
          gather(tokens, tags, found.slice(1 + keys.length));
          if (mint && !mints) await this.#mint(client, group, tags, tokens);
          for (const tag of tags) if (tokens.has(tag)) this.#tokened.set(tag, true);
          const [generation, purge, generations] = found[0]?.split(':') ?? [];
          if (generation !== undefined && purge !== undefined && this.#believes(purge)) {
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
    if (!this.#owned()) throw unavailable(new Error('these keys are not known to be those of this database'));
  }

  #believes(purge: string): boolean {
    return this.#database === undefined || this.#database() === databaseOf(purge);
  }

  /** Tokens for those of `tags` that have none in `tokens`: they had one when this process saw them last. */
  async #mint(client: Redis | Cluster, group: Group, tags: readonly Tag[], tokens: Map<Tag, string>): Promise<void> {
    const missing = tags.filter((tag) => !tokens.has(tag));
    if (missing.length === 0) return;
    const names = this.#tags(group, missing);
    const [held] = await this.#readGroup(client, group, { names, tagsFrom: 0, log: undefined });
    gather(tokens, missing, held);
  }

  /** What stands under the names, and what the log says. From the name `tagsFrom` on, those that have no text get a fresh token. */
  async #readGroup(
    client: Redis | Cluster,
    group: Group,
    { names, tagsFrom, log }: { names: string[]; tagsFrom: number | undefined; log: LogMark | 'end' | undefined },
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
    if (!this.#owned()) return;
    const own = fills.filter(({ text }) => this.#database === undefined || mayStore(text, this.#database()));
    const byKey = new Map(own.map((fill) => [fill.key, fill]));
    await Promise.all(
      this.#split({ keys: [...byKey.keys()], tags: [] }).map(({ group, keys }) =>
        this.#reading(group, 'write', async (client) => {
          const args = keys.flatMap((key) => {
            const { text, ttlMs } = byKey.get(key) as Fill;
            return [text, ttlMs];
          });
          await runScript(
            client,
            fillScript,
            keys.map((key) => this.#entry(group, key)),
            args,
          );
        }),
      ),
    );
  }

  async tryLockRefresh(key: Key, ttlMs: number): Promise<boolean> {
    if (!this.#owned()) return false;
    const group = this.#groups[this.groupOf(key)] as Group;
    return this.#reading(group, 'write', async (client) => {
      return (await client.set(`r:${group.hashTag}:${key}`, '1', 'PX', ttlMs, 'NX')) === 'OK';
    });
  }

  async setText(name: string, text: string, ttlMs: number): Promise<void> {
    this.#requireOwned();
    const { group, key } = this.#text(name);
    const index = `qi:${group.hashTag}`;
    const maxTexts = Math.ceil(MAX_TEXTS / this.groups);
    await this.#reading(group, 'write', async (client) => {
      // In the index first: a text that is not in it could not be dropped. All in one trip, but for what must be dropped.
      const [, , count] = await Promise.all([
        client.zadd(index, Date.now(), key),
        client.set(key, text, 'PX', ttlMs),
        client.zcard(index),
      ]);
      if (count <= maxTexts) return;
      const dropped = await client.zpopmin(index, count - maxTexts);
      await client.del(...dropped.filter((_, i) => i % 2 === 0)); // between them are their times
    });
  }

  async getText(name: string): Promise<string | undefined> {
    const { group, key } = this.#text(name);
    return (await this.#reading(group, 'read', (client) => client.get(key))) ?? undefined;
  }

  /** HOME last: its record of the log says that every fence stands. */
  async fence(
    xid: bigint,
    tags: readonly Tag[],
    options: { fresh: boolean; database?: string | undefined },
  ): Promise<FenceReply> {
    const { fresh, database = '' } = options;
    const record = logRecord(tags);
    const parts = this.#split({ keys: [], tags }, [LOG_GROUP]);
    let foreign = false;
    const fenceAll = (connection: Connection) =>
      homeLast(parts, async ({ group, tags }) => {
        const reply = await this.#attempt(group, connection, 'fence', (client) => {
          const names = (['log', 'fen', 'pos'] as const).map((name) => this.#name(name, group));
          const keys = [...names, ...this.#tags(group, tags)];
          const told = group.index === LOG_GROUP ? record : '';
          const args = [String(xid), told, MAX_LOG_RECORDS, randomEpoch(), JSON.stringify(tags), database];
          return runScript(client, fenceScript, keys, args);
        });
        if (reply === 'foreign') foreign = true;
        else group.outage.fenced();
      });
    await (fresh ? this.#onNewConnection(parts, fenceAll) : fenceAll(this.#writer));
    return foreign ? 'foreign' : 'fenced';
  }

  release(
    xid: bigint,
    tags: readonly Tag[],
    options?: { unfenced: boolean; database?: string | undefined },
  ): Promise<void> {
    const { unfenced = false, database } = options ?? {};
    const logs = unfenced ? 'always' : 'if lost';
    return this.#release({ xids: String(xid), tags, mode: 'record', logs, database });
  }

  releaseFinished(
    xids: readonly string[],
    tags: readonly Tag[],
    options?: { database?: string | undefined },
  ): Promise<void> {
    return this.#release({ xids: xids.join(','), tags, mode: 'resolve', logs: 'never', database: options?.database });
  }

  async releaseOrphans(
    orphans: readonly OrphanFence[],
    index = LOG_GROUP,
    { database }: { database?: string | undefined } = {},
  ): Promise<void> {
    const group = this.#groups[index] as Group;
    // One call each: a fence has thousands of tags at most, and Redis does nothing else meanwhile.
    for (const { xid, tags } of orphans) {
      const what = {
        xids: xid,
        own: tags,
        mode: 'over',
        message: message(xid, tags),
        record: '',
        logs: 'never',
        database,
      } as const;
      await this.#attempt(group, this.#ticker, 'write', (client) => this.#releaseIn(client, group, what));
    }
  }

  async invalidate(tags: readonly Tag[]): Promise<void> {
    this.#requireOwned();
    await this.#release({ xids: '', tags, mode: 'resolve', logs: 'always', database: undefined });
  }

  subscribe(hear: (news: StoreEvent) => void): () => void {
    return listenTo(this.#place, this.channel, {
      waitMs: this.#waitMs,
      heard: (text) => {
        const news = readMessage(text);
        if (news !== undefined) hear(news);
      },
      gap: () => hear({ kind: 'gap' }),
    });
  }

  head(index = LOG_GROUP): Promise<Head> {
    const group = this.#groups[index] as Group;
    const startedMs = this.#clock.monotonicMs();
    return this.#attempt(group, this.#ticker, 'read', async (client, server) => {
      const keys = (['pos', 'rel', 'ok', 'fen'] as const).map((name) => this.#name(name, group));
      const reply = (await runScript(client, headScript, keys, [
        server.run,
        MAX_RELEASED_KNOWN,
        MAX_FORGOTTEN_PER_TICK,
      ])) as HeadReply;
      const [seconds, micros, position, pttl, run, released, checked, lease, orphans, refusal, history] = reply;
      this.#oneServer(group, run);
      if (refusal !== '') this.#refusedInHead(group, startedMs, refusal);
      else if (pttl > 0) group.outage.leased(pttl);
      else group.outage.wrote();
      if (checked !== 'checked')
        this.#limited('scripts may not read INFO: a tick is given up when its connection changes');
      if (lease !== 'local')
        this.#limited('scripts may not choose what is replicated: a failover is bounded by the lease');
      return {
        clockMs: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
        position: readPosition(position),
        leaseLeftMs: Math.max(0, pttl),
        run,
        ...(checked !== 'checked' && { link: server.link }),
        released,
        orphans: orphans.map(readNote),
        ...(refusal !== '' && { refusal: refusalText(refusal) }),
        ...(checked === 'checked' && history !== '' && { history: `${run}/${history}` }),
      };
    });
  }

  apply({ head, next, rows, barrier, grant, others }: Tick, index = LOG_GROUP): Promise<ApplyReply> {
    const group = this.#groups[index] as Group;
    return this.#attempt(group, this.#ticker, 'apply', async (client, server) => {
      if (head.link !== undefined && head.link !== server.link) return { result: 'moved', unreleased: [] };
      const keys = [
        this.#name('pos', group),
        this.#name('rel', group),
        this.#runName('ok', group, head.run),
        this.#runName('bar', group, head.run),
        this.#name('log', group),
      ];
      const indexOf = new Map<Tag, number>();
      const packed = rows.map(({ xid, tags }) => {
        const own = tags.filter((tag) => this.groupOf(tag) === index);
        for (const tag of own) {
          if (!indexOf.has(tag)) indexOf.set(tag, keys.push(this.#tag(group, tag)));
        }
        const [told, record] = index === LOG_GROUP ? [message(String(xid), tags), logRecord(tags)] : ['', ''];
        const again = others?.unreleased.has(String(xid)) === true ? 1 : 0;
        return [String(xid), randomToken(), told, record, own.map((tag) => indexOf.get(tag)), again];
      });
      const reply = (await runScript(client, applyScript, keys, [
        head.link === undefined ? head.run : '',
        head.position === undefined ? '' : positionText(head.position),
        positionText(next),
        barrier === undefined ? '' : String(barrier),
        head.clockMs,
        LEASE_MS,
        grant,
        randomToken(),
        TOKEN_TTL_MS,
        index === LOG_GROUP ? this.channel : '',
        JSON.stringify(packed),
        index === LOG_GROUP ? MAX_LOG_RECORDS : '',
        randomEpoch(),
        index === LOG_GROUP ? generationsText(others?.generations ?? []) : '',
      ])) as [ApplyReply['result'], generation?: string, unreleased?: string[]];
      const [result, generation, unreleased = []] = reply;
      if (result === 'applied') group.outage.wrote();
      return { result, unreleased, ...(generation && { generation }) };
    });
  }

  async addCounters(day: string, counts: ReadonlyMap<string, number>): Promise<void> {
    this.#requireOwned();
    const group = this.#groups[LOG_GROUP] as Group;
    await this.#reading(group, 'write', async (client) => {
      const name = this.#statistics(day);
      const pipeline = client.pipeline();
      for (const [field, count] of counts) pipeline.hincrby(name, field, count);
      await allOf(pipeline.pexpire(name, STATISTICS_TTL_MS).exec());
    });
  }

  async counts(day: string): Promise<ReadonlyMap<string, number>> {
    const group = this.#groups[LOG_GROUP] as Group;
    const found = await this.#reading(group, 'read', (client) => client.hgetall(this.#statistics(day)));
    return new Map(Object.entries(found).map(([field, count]) => [field, Number(count)]));
  }

  outageMs(tags?: readonly Tag[]): number {
    if (tags === undefined) return Math.max(...this.#groups.map(({ outage }) => outage.lostForMs));
    return lostTogetherMs(this.#split({ keys: [], tags }, [LOG_GROUP]).map(({ group }) => group.outage));
  }

  async close(): Promise<void> {
    for (const connection of [this.#reader, this.#writer, this.#ticker]) connection.end();
  }

  #askLog(pipeline: ChainableCommander, group: Group, log: LogMark | 'end'): ChainableCommander {
    const name = this.#name('log', group);
    if (log === 'end') return pipeline.xrevrange(name, '+', '-', 'COUNT', 1);
    // From the mark itself on: only if it is still there is nothing missing behind it. And one more than may be answered.
    const before = `${log.epoch}-${log.sequence - 1}`;
    return pipeline.xread('COUNT', MAX_RECORDS_PER_READ + 2, 'STREAMS', name, before);
  }

  /**
   * HOME has all ids, publishes, and logs what no fence did, or what a fence did that some group has lost since. It comes last: a reader of
   * the record must find the fresh tokens, or it would keep in memory what it still reads under the old ones.
   */
  async #release(what: {
    readonly xids: string;
    readonly tags: readonly Tag[];
    readonly mode: 'record' | 'resolve';
    readonly logs: Logs;
    readonly database: string | undefined;
  }): Promise<void> {
    const { xids, tags, logs, ...same } = what;
    let lost = false;
    await homeLast(this.#split({ keys: [], tags }, [LOG_GROUP]), async ({ group, tags: own }) => {
      const told =
        group.index === LOG_GROUP
          ? {
              message: message(xids, tags),
              record: logRecord(tags),
              logs: logs === 'if lost' && lost ? 'always' : logs,
            }
          : { message: '', record: '', logs };
      const reply = await this.#attempt(group, this.#writer, 'write', (client) =>
        this.#releaseIn(client, group, { ...same, xids, own, ...told }),
      );
      if (reply === 'lost') lost = true;
    });
  }

  async #releaseIn(
    client: Redis | Cluster,
    group: Group,
    what: {
      readonly xids: string;
      readonly own: readonly Tag[];
      readonly mode: 'record' | 'resolve' | 'over';
      readonly message: string;
      readonly record: string;
      readonly logs: Logs;
      readonly database: string | undefined;
    },
  ): Promise<'released' | 'lost' | 'foreign'> {
    const names = (['rel', 'log', 'fen', 'pos'] as const).map((name) => this.#name(name, group));
    const channel = what.message === '' ? '' : this.channel;
    const ends = [channel, what.message, what.record, MAX_LOG_RECORDS, randomEpoch(), what.logs];
    const args = [what.xids, randomToken(), TOKEN_TTL_MS, what.mode, ...ends, what.database ?? ''];
    return (await runScript(client, releaseScript, [...names, ...this.#tags(group, what.own)], args)) as
      | 'released'
      | 'lost'
      | 'foreign';
  }

  /** Keys and tags by group; `besides`: groups that are included in any case. */
  #split(asked: { keys: readonly Key[]; tags: readonly Tag[] }, besides: readonly number[] = []): readonly Part[] {
    if (this.groups === 1) return [{ group: this.#groups[LOG_GROUP] as Group, ...asked }];
    const parts = new Map<number, { group: Group; keys: Key[]; tags: Tag[] }>();
    const partOf = (index: number) => {
      const known = parts.get(index);
      if (known !== undefined) return known;
      const made = { group: this.#groups[index] as Group, keys: [], tags: [] };
      parts.set(index, made);
      return made;
    };
    for (const index of besides) partOf(index);
    for (const key of asked.keys) partOf(this.groupOf(key)).keys.push(key);
    for (const tag of asked.tags) partOf(this.groupOf(tag)).tags.push(tag);
    return [...parts.values()];
  }

  #name(name: 'pos' | 'rel' | 'fen' | 'log' | 'ok' | 'bar', { hashTag }: Group): string {
    return `${name}:${hashTag}`;
  }

  /**
   * The lease and its barrier speak of one run of one server. Not replicating them is not enough: a snapshot, the base of an
   * append-only file and a full resync copy them, to be found by a server that has lost what came after.
   */
  #runName(name: 'ok' | 'bar', group: Group, run: string): string {
    return `${this.#name(name, group)}:${run}`;
  }

  #entry({ hashTag }: Group, key: Key): string {
    return `e${ENTRY_FORMAT}:${hashTag}:${key}`;
  }

  #tag({ hashTag }: Group, tag: Tag): string {
    return `t:${hashTag}:${tag}`;
  }

  #tags(group: Group, tags: readonly Tag[]): string[] {
    return tags.map((tag) => this.#tag(group, tag));
  }

  #text(name: string): { group: Group; key: string } {
    const group = this.#groups[this.groups === 1 ? LOG_GROUP : calculateSlot(name) % this.groups] as Group;
    return { group, key: `q:${group.hashTag}:${name}` };
  }

  #statistics(day: string): string {
    return `stat:${(this.#groups[LOG_GROUP] as Group).hashTag}:${day}`;
  }

  #limited(text: string): void {
    if (this.#limits.has(text)) return;
    this.#limits.add(text);
    this.#onLimit(text);
  }

  /** The lease stands on one server. If connections lead to different servers, all are closed and opened again. */
  #oneServer(group: Group, run: string): void {
    const others = [this.#reader, this.#writer].filter((connection) => {
      const server = connection.serverOf(group.hashTag);
      return server !== undefined && server.run !== run;
    });
    if (others.length === 0) return;
    for (const connection of [...others, this.#ticker]) connection.drop(group.hashTag);
  }

  async #onNewConnection(parts: readonly Part[], run: (connection: Connection) => Promise<void>): Promise<void> {
    const connection = openConnection(this.#place, { waitMs: this.#waitMs, once: true });
    const startedMs = this.#clock.monotonicMs();
    try {
      await withTimeout(connection.connect(), this.#waitMs).catch((error) => {
        for (const { group } of parts) group.outage.failed(startedMs, textOf(error));
        throw unavailable(error);
      });
      await run(connection);
    } finally {
      connection.end();
    }
  }

  /** As `#attempt`, behind the breaker: for what readers wait for. */
  async #reading<T>(
    group: Group,
    kind: 'read' | 'write',
    run: (client: Redis | Cluster, server: Server) => Promise<T>,
  ): Promise<T> {
    if (!group.breaker.allows()) throw unavailable(new Error('it failed several times in a row'));
    try {
      const value = await this.#attempt(group, this.#reader, kind, run);
      group.breaker.succeeded();
      return value;
    } catch (error) {
      // A server that answers may be read, also when it refuses to store something.
      if (kind === 'write' && isRefusal((error as Error).cause)) group.breaker.succeeded();
      else group.breaker.failed();
      throw error;
    }
  }

  /** Turns every failure into STORE_UNAVAILABLE, keeps account of the outage, and leaves a connection that does not answer. */
  async #attempt<T>(
    group: Group,
    connection: Connection,
    kind: Kind,
    run: (client: Redis | Cluster, server: Server) => Promise<T>,
  ): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      // A writer need not know the run of its server.
      const known = connection.serverOf(group.hashTag);
      const server = known ?? (connection === this.#reader || connection === this.#ticker ? undefined : UNKNOWN_SERVER);
      if (connection.refusal !== undefined) {
        this.#limited(`its database is refused, so nothing is cached: ${connection.refusal.message}`);
        throw connection.refusal;
      }
      if (server === undefined || !connection.selected) throw new Error('there is no connection');
      corkForNow(connection.client);
      const value = await withTimeout(run(connection.client, server), this.#waitMs);
      group.outage.answered();
      return value;
    } catch (error) {
      this.#noteFailure(group, kind, startedMs, error);
      if (error instanceof Error && error.message === TIMED_OUT) connection.drop(group.hashTag);
      throw unavailable(error);
    }
  }

  #noteFailure({ outage }: Group, kind: Kind, startedMs: number, error: unknown): void {
    if (!isRefusal(error) || kind === 'read') outage.failed(startedMs, textOf(error));
    else if (kind === 'fence') outage.refused(startedMs, textOf(error), 'fence');
    else if (kind === 'apply') outage.refused(startedMs, textOf(error), 'tick');
    else outage.answered();
  }

  /** HEAD's own write was refused. After READONLY the next connection may lead to the present primary. */
  #refusedInHead(group: Group, startedMs: number, refusal: string): void {
    group.outage.refused(startedMs, refusalText(refusal), 'tick');
    if (refusal.includes('READONLY')) this.#ticker.drop(group.hashTag);
  }
}

/** Whether RELEASE appends to the log; `if lost`: where it does not find its own fence and note. */
type Logs = 'always' | 'if lost' | 'never';

type HeadReply = [
  seconds: string,
  micros: string,
  position: string,
  pttl: number,
  run: string,
  released: string[],
  checked: string,
  lease: string,
  orphans: string[],
  refusal: string,
  history: string,
];

/** The server behind a connection whose run is not known yet. */
const UNKNOWN_SERVER: Server = { run: '?', link: 0 };

function unavailable(error: unknown): CacheError {
  if (error instanceof CacheError) return error;
  return new CacheError('STORE_UNAVAILABLE', `Redis: ${messageOf(error)}`, { cause: error });
}

/** The server's own answer, not one of the connection. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function textOf(error: unknown): string {
  return refusalText(messageOf(error));
}

type StreamRecord = [id: string, fields: string[]];

function endOf(reply: unknown): LogSlice {
  const last = (reply as StreamRecord[])[0];
  return { kind: 'end', mark: last && markOf(last[0]) };
}

function sinceMark(since: LogMark, reply: unknown): LogSlice {
  const found = (reply as [string, StreamRecord[]][] | null)?.[0]?.[1] ?? [];
  const [first, ...next] = found;
  const isMark = first?.[0] === `${since.epoch}-${since.sequence}`;
  if (!isMark || next.length > MAX_RECORDS_PER_READ) return { kind: 'hole' };
  const records = [];
  let sequence = since.sequence;
  for (const [id, [, text]] of next) {
    const mark = markOf(id);
    const tags = tagsOf(text);
    if (mark.epoch !== since.epoch || mark.sequence !== ++sequence || tags === undefined) return { kind: 'hole' };
    records.push(tags);
  }
  return { kind: 'next', mark: { epoch: since.epoch, sequence }, records };
}

function markOf(id: string): LogMark {
  const [epoch = '', sequence] = id.split('-');
  return { epoch, sequence: Number(sequence) };
}

function logRecord(tags: readonly Tag[]): string {
  return JSON.stringify(recordOf(tags));
}

/** Undefined when it is no record of ours: then nothing can be said of what it invalidates. */
function tagsOf(text: string | undefined): readonly Tag[] | undefined {
  try {
    const tags: unknown = JSON.parse(text ?? '');
    return Array.isArray(tags) ? (tags as Tag[]) : undefined;
  } catch {
    return undefined;
  }
}

function readPosition(text: string): Position | undefined {
  const [xid, purge] = text.split(':');
  return xid !== undefined && purge !== undefined && /^\d+$/.test(xid) ? { xid: BigInt(xid), purge } : undefined;
}

function readNote(note: string): OrphanFence {
  const bar = note.indexOf('|');
  return { xid: note.slice(0, bar), tags: JSON.parse(note.slice(bar + 1)) as Tag[] };
}

function positionText({ xid, purge }: Position): string {
  return `${xid}:${purge}`;
}

function message(xid: string, tags: readonly Tag[]): string {
  return JSON.stringify({ xid, tags });
}

/** Undefined for what we do not write: anybody may publish. */
function readMessage(text: string): StoreEvent | undefined {
  try {
    const { xid, tags } = JSON.parse(text) as { xid: unknown; tags: unknown };
    if (typeof xid !== 'string' || !Array.isArray(tags)) return undefined;
    return { kind: 'released', xids: xid.split(',').filter((id) => id !== ''), tags: tags as Tag[] };
  } catch {
    return undefined;
  }
}

/** Those of the names that have a text. */
function gather<N>(into: Map<N, string>, names: readonly N[], texts: readonly (string | null)[]): void {
  names.forEach((name, i) => {
    const text = texts[i];
    if (typeof text === 'string') into.set(name, text);
  });
}

/** The replies of a pipeline, or its first error. */
async function allOf(exec: Promise<[Error | null, unknown][] | null>): Promise<unknown[]> {
  const replies = (await exec) ?? [];
  return replies.map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

/** HOME's part only when those of all other groups have ended well: what it tells is true of them, too. */
async function homeLast(parts: readonly Part[], run: (part: Part) => Promise<void>): Promise<void> {
  await allEnded(parts.filter(({ group }) => group.index !== LOG_GROUP).map(run));
  await allEnded(parts.filter(({ group }) => group.index === LOG_GROUP).map(run));
}

/** Waits for all. @throws the first failure, when all have ended */
async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
