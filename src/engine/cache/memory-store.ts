/**
 * The store for one process without Redis: the same states and steps on Maps. It keeps the store's promises for this
 * process alone, so it is for laptops and tests. Bounded: the least recently written entries and tokens go first.
 */

import { Binding } from './binding.js';
import { generationsText, type Lease, leaseOf } from './entry.js';
import { CacheError } from './errors.js';
import { ExpiringMap } from './expiring-map.js';
import type { Key } from './key.js';
import { inMemory, MemorySamples } from './memory-samples.js';
import { databaseOf, isForeign } from './purge.js';
import {
  type ApplyReply,
  type FenceOptions,
  type FenceReply,
  type Fill,
  type Head,
  type HeldTag,
  type Inspection,
  LEASE_MS,
  type LogMark,
  type LogSlice,
  MAX_LOG_RECORDS,
  MAX_NOTES_PER_READ,
  MAX_ORPHANS_PER_TICK,
  MAX_RECORDS_PER_READ,
  MAX_RELEASED_KNOWN,
  MAX_TEXTS,
  type OrphanFence,
  type Position,
  type ReleasedBy,
  type ReleaseOptions,
  recordOf,
  type Store,
  type StoreEvent,
  type StoreReadOptions,
  type Tick,
  TOKEN_TTL_MS,
  type View,
} from './store.js';
import type { Tag } from './tag.js';
import { type Clock, systemClock } from './time.js';
import { randomToken } from './token.js';

const MAX_ENTRIES = 20_000;
const MAX_TOKENS = 100_000;
const MAX_CLAIMS = 10_000;

interface Fence {
  readonly ids: Set<string>;
  /** Whether a transaction was released while the fence stood, and others stayed. */
  left: boolean;
}

interface OfDatabase {
  readonly database?: string | undefined;
}

export class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly groups = 1;
  readonly samples: MemorySamples;
  readonly inspection: Inspection;
  readonly #clock: Clock;
  readonly #run = randomToken();
  readonly #entries: ExpiringMap<Key>;
  readonly #tokens: ExpiringMap<Tag>;
  /** Apart from the tokens, since fences have no expiry and are never evicted. */
  readonly #fences = new Map<Tag, Fence>();
  /** The notes: tags by transaction id. */
  readonly #noted = new Map<bigint, readonly Tag[]>();
  readonly #claims: ExpiringMap<Key>;
  readonly #texts: ExpiringMap<string>;
  readonly #listeners = new Set<(news: StoreEvent) => void>();
  readonly #counts = new Map<string, Map<string, number>>();
  #log: { readonly epoch: string; first: number; readonly records: (readonly Tag[])[] } | undefined;
  #released = new Set<bigint>();
  #position: Position | undefined;
  #lease: (Lease & { untilMs: number }) | undefined;
  #barrier: { xid: bigint; untilMs: number } | undefined;
  readonly #binding = new Binding();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.#entries = new ExpiringMap(MAX_ENTRIES, clock);
    this.#tokens = new ExpiringMap(MAX_TOKENS, clock);
    this.#claims = new ExpiringMap(MAX_CLAIMS, clock);
    this.#texts = new ExpiringMap(MAX_TEXTS, clock);
    this.samples = new MemorySamples(clock, () => this.#requireOwned());
    this.inspection = inMemory((tag) => this.#heldTag(tag));
  }

  groupOf(): number {
    return 0;
  }

  bind(database: () => string | undefined, owned?: () => boolean): void {
    this.#binding.set(database, owned);
  }

  async read(keys: readonly Key[], tags: readonly Tag[], options: StoreReadOptions = {}): Promise<View> {
    const { log } = options;
    const mint = options.mint === true && this.#binding.owned;
    const tokens = new Map<Tag, string>();
    for (const tag of tags) {
      if (mint && this.#held(tag) === undefined) this.#tokens.set(tag, randomToken(), TOKEN_TTL_MS);
      const held = this.#held(tag);
      if (held !== undefined) tokens.set(tag, held);
    }
    const lease = this.#leaseNow();
    return {
      leases: [lease !== undefined && this.#binding.believes(lease.purge) ? lease : undefined],
      entries: this.#entries.pick(keys),
      tokens,
      log: log && this.#logSince(log),
      fenced: options.fenced === true ? this.#fenced() : undefined,
    };
  }

  #fenced(): ReadonlySet<Tag> | undefined {
    return this.#noted.size > MAX_NOTES_PER_READ ? undefined : new Set([...this.#noted.values()].flat());
  }

  #logSince(since: LogMark | 'tail'): LogSlice {
    const log = this.#log;
    const end = this.#logEnd();
    if (since === 'tail') return { kind: 'tail', mark: end };
    if (log === undefined || end === undefined || log.epoch !== since.epoch) return { kind: 'gap' };
    const records = log.records.slice(since.sequence - log.first + 1);
    const reached = since.sequence >= log.first && since.sequence <= end.sequence;
    if (!reached || records.length > MAX_RECORDS_PER_READ) return { kind: 'gap' };
    return { kind: 'records', mark: end, records };
  }

  #logEnd(): LogMark | undefined {
    const log = this.#log;
    return log && { epoch: log.epoch, sequence: log.first + log.records.length - 1 };
  }

  #append(tags: readonly Tag[]): void {
    this.#log ??= { epoch: randomToken(), first: 1, records: [] };
    this.#log.records.push(recordOf(tags));
    if (this.#log.records.length <= MAX_LOG_RECORDS) return;
    this.#log.records.shift();
    this.#log.first++;
  }

  async fill(fills: readonly Fill[]): Promise<void> {
    if (!this.#binding.owned) return;
    for (const { key, text, ttlMs } of fills) {
      if (this.#binding.allows(text)) this.#entries.set(key, text, ttlMs);
    }
  }

  async tryLockRefresh(key: Key, ttlMs: number): Promise<boolean> {
    if (!this.#binding.owned || this.#claims.get(key) !== undefined) return false;
    this.#claims.set(key, 'claimed', ttlMs);
    return true;
  }

  async setText(name: string, text: string, ttlMs: number): Promise<void> {
    this.#requireOwned();
    this.#texts.set(name, text, ttlMs);
  }

  async getText(name: string): Promise<string | undefined> {
    return this.#texts.get(name);
  }

  async fence(xid: bigint, tags: readonly Tag[], options?: FenceOptions): Promise<FenceReply> {
    if (this.#isForeign(options)) return 'foreign';
    const { expected } = options ?? {};
    const exact = expected !== undefined && [...expected].every(([tag, token]) => this.#held(tag) === token);
    for (const tag of tags) {
      const fence = this.#fences.get(tag);
      if (fence === undefined) this.#fences.set(tag, { ids: new Set([String(xid)]), left: false });
      else fence.ids.add(String(xid));
    }
    if (tags.length > 0) this.#noted.set(xid, tags);
    this.#append(tags);
    return exact ? { kind: 'exact', mark: this.#logEnd() as LogMark, lease: this.#leaseNow() } : 'fenced';
  }

  async release(xid: bigint, tags: readonly Tag[], options?: ReleaseOptions): Promise<void> {
    if (this.#isForeign(options)) return;
    const noted = this.#noted.delete(xid) || tags.length === 0;
    const found = noted && tags.every((tag) => this.#fences.get(tag)?.ids.has(String(xid)));
    if (options?.unfenced === true || !found) this.#append(tags);
    const { token, entries } = options?.fills ?? { token: undefined, entries: [] };
    const fills = entries.filter((fill) => found && fill.tags.every((tag) => this.#held(tag) === `!,${xid},`));
    const kept = new Set(fills.flatMap((fill) => fill.tags));
    for (const tag of tags) this.#release(tag, [String(xid)], kept.has(tag) ? token : undefined);
    await this.fill(fills);
    this.#released.add(xid);
    this.#tell([String(xid)], tags, 'writer');
  }

  async releaseFinished(xids: readonly string[], tags: readonly Tag[], options?: OfDatabase): Promise<void> {
    if (this.#isForeign(options)) return;
    for (const tag of tags) this.#release(tag, xids);
    this.#tell(xids, tags, 'recovery');
  }

  async releaseOrphans(orphans: readonly OrphanFence[], _group?: number, options?: OfDatabase): Promise<void> {
    if (this.#isForeign(options)) return;
    for (const { xid, tags } of orphans) {
      for (const tag of tags) this.#release(tag, [xid]);
      this.#noted.delete(BigInt(xid));
      this.#tell([xid], tags, 'recovery');
    }
  }

  async invalidate(tags: readonly Tag[]): Promise<void> {
    this.#requireOwned();
    for (const tag of tags) this.#release(tag, []);
    this.#append(tags);
    this.#tell([], tags, 'hand');
  }

  subscribe(hear: (news: StoreEvent) => void): () => void {
    this.#listeners.add(hear);
    return () => void this.#listeners.delete(hear);
  }

  async head(): Promise<Head> {
    const clockMs = this.#clock.nowMs();
    const lease = this.#liveLease();
    return {
      clockMs,
      position: this.#position,
      leaseLeftMs: lease === undefined ? 0 : lease.untilMs - clockMs,
      run: this.#run,
      history: this.#run,
      released: [...this.#released]
        .sort((a, b) => (a < b ? -1 : 1))
        .slice(0, MAX_RELEASED_KNOWN)
        .map(String),
      orphans: [...this.#noted]
        .filter(([xid]) => this.#position !== undefined && xid < this.#position.xid)
        .slice(0, MAX_ORPHANS_PER_TICK)
        .map(([xid, tags]) => ({ xid: String(xid), tags })),
      ...(this.samples.wanted && { samplesWanted: true as const }),
    };
  }

  async apply({ head, next, rows, barrier, grant, others }: Tick): Promise<ApplyReply> {
    if (head.run !== this.#run) return refused('moved');
    if (!samePosition(head.position, this.#position)) return refused('raced');
    const untilMs = head.clockMs + LEASE_MS;
    if (this.#clock.nowMs() >= untilMs) return refused('late');
    // Under another database's lease its readers are served, and its writers' fences would be refused from here on.
    const lease = this.#liveLease();
    if (lease !== undefined && databaseOf(lease.purge) !== databaseOf(next.purge)) return refused('raced');
    if (head.position?.purge !== next.purge) {
      // Another purge may mean another history of Postgres, which assigns the released ids again. A barrier of the
      // former history proves nothing.
      this.#released.clear();
      this.#barrier = undefined;
      if (lease === undefined) this.#lease = undefined;
    }
    const unreleased: string[] = [];
    for (const { xid, tags } of rows) {
      const released = this.#released.has(xid);
      if (!released || others?.unreleased.has(String(xid)) === true) this.#append(tags);
      if (released) continue;
      if (tags.length > 0) unreleased.push(String(xid));
      for (const tag of tags) this.#release(tag, [String(xid)]);
      this.#released.add(xid);
      this.#tell([String(xid)], tags, 'relay');
    }
    if (this.#log === undefined) this.#append([]);
    this.#position = next;
    this.#released = new Set([...this.#released].filter((xid) => xid >= next.xid));
    if (grant === 'hold') return { result: 'applied', unreleased };
    const generations = generationsText(others?.generations ?? []);
    this.#grant({ next, barrier, untilMs, force: grant === 'force', generations });
    return { result: 'applied', unreleased, generation: this.#liveLease()?.generation };
  }

  async addCounters(day: string, counts: ReadonlyMap<string, number>): Promise<void> {
    this.#requireOwned();
    const known = this.#counts.get(day) ?? new Map<string, number>();
    for (const [name, count] of counts) known.set(name, (known.get(name) ?? 0) + count);
    this.#counts.clear(); // one day only
    this.#counts.set(day, known);
  }

  async readCounters(day: string): Promise<ReadonlyMap<string, number>> {
    return new Map(this.#counts.get(day));
  }

  outageMs(): number {
    return 0;
  }

  async close(): Promise<void> {}

  #requireOwned(): void {
    if (!this.#binding.owned)
      throw new CacheError('STORE_UNAVAILABLE', 'the keys are not known to be those of this database');
  }

  #tell(xids: readonly string[], tags: readonly Tag[], by: ReleasedBy): void {
    for (const hear of this.#listeners) hear({ kind: 'released', xids, tags, by });
  }

  #grant(given: {
    next: Position;
    barrier: bigint | undefined;
    untilMs: number;
    force: boolean;
    generations: string;
  }): void {
    const { next, barrier, untilMs, force, generations } = given;
    const lease = this.#liveLease();
    if (lease !== undefined) {
      this.#lease = { generation: lease.generation, purge: next.purge, untilMs, generations };
      return;
    }
    if (this.#barrier !== undefined && this.#barrier.untilMs <= this.#clock.nowMs()) this.#barrier = undefined;
    if (this.#barrier === undefined && barrier !== undefined) this.#barrier = { xid: barrier, untilMs };
    if (force || (this.#barrier !== undefined && next.xid >= this.#barrier.xid)) {
      this.#lease = { generation: randomToken(), purge: next.purge, untilMs, generations };
      this.#barrier = undefined;
    }
  }

  #leaseNow(): Lease | undefined {
    const lease = this.#liveLease();
    return lease && leaseOf(lease.generation, lease.purge, lease.generations);
  }

  #isForeign({ database }: OfDatabase = {}): boolean {
    return isForeign(this.#position?.purge, database);
  }

  #liveLease() {
    return this.#lease !== undefined && this.#lease.untilMs > this.#clock.nowMs() ? this.#lease : undefined;
  }

  #heldTag(tag: Tag): HeldTag | undefined {
    const text = this.#held(tag);
    return text === undefined
      ? undefined
      : { text, ttlMs: this.#fences.has(tag) ? undefined : this.#tokens.ttlOf(tag) };
  }

  /** The tag's token, or its fence as the text that Redis would hold. */
  #held(tag: Tag): string | undefined {
    const fence = this.#fences.get(tag);
    if (fence === undefined) return this.#tokens.get(tag);
    return `!${fence.left ? '' : ','}${[...fence.ids].join(',')},`;
  }

  /** `token`: for a tag of an entry that is stored with it. The others get one from their next reader. */
  #release(tag: Tag, xids: readonly string[], token?: string): void {
    const fence = this.#fences.get(tag);
    for (const xid of xids) fence?.ids.delete(xid);
    if (fence !== undefined && fence.ids.size > 0) {
      fence.left = true;
      return;
    }
    this.#fences.delete(tag);
    if (token === undefined) this.#tokens.delete(tag);
    else this.#tokens.set(tag, token, TOKEN_TTL_MS);
  }
}

function refused(result: ApplyReply['result']): ApplyReply {
  return { result, unreleased: [] };
}

function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  return a?.xid === b?.xid && a?.purge === b?.purge;
}
