/**
 * The store for one process without Redis: the same states and steps on Maps. Keeps the promises of the port for this
 * process alone, so it is for laptops and tests. Bounded: the least recently written entries and tokens go first.
 */
import { type Clock, systemClock } from '../time.js';
import type { Lease } from './entry.js';
import type { Key } from './key.js';
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
} from './store.js';
import type { Tag } from './tag.js';
import { randomToken } from './token.js';

const MAX_ENTRIES = 20_000;
const MAX_TOKENS = 100_000;

export class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly #clock: Clock;
  readonly #run = randomToken();
  readonly #entries: ExpiringMap<Key>;
  readonly #tokens: ExpiringMap<Tag>;
  /** Fences have no expiry and are never evicted: they stand apart from the tokens. */
  readonly #fences = new Map<Tag, Set<string>>();
  #released = new Set<bigint>();
  #position: Position | undefined;
  #lease: (Lease & { untilMs: number }) | undefined;
  #barrier: { xid: bigint; untilMs: number } | undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.#entries = new ExpiringMap(MAX_ENTRIES, clock);
    this.#tokens = new ExpiringMap(MAX_TOKENS, clock);
  }

  async read(keys: readonly Key[], tags: readonly Tag[]): Promise<View> {
    const tokens = new Map<Tag, string>();
    for (const tag of tags) {
      const held = this.#held(tag);
      if (held !== undefined) tokens.set(tag, held);
    }
    const lease = this.#liveLease();
    return {
      lease: lease && { generation: lease.generation, purge: lease.purge },
      entries: this.#entries.pick(keys),
      tokens,
    };
  }

  async mint(tags: readonly Tag[]): Promise<ReadonlyMap<Tag, string>> {
    const held = new Map<Tag, string>();
    for (const tag of tags) {
      if (this.#held(tag) === undefined) this.#tokens.set(tag, randomToken(), TOKEN_TTL_MS);
      held.set(tag, this.#held(tag) as string);
    }
    return held;
  }

  async fill(fills: readonly Fill[]): Promise<void> {
    for (const { key, text, ttlMs } of fills) this.#entries.set(key, text, ttlMs);
  }

  async fence(xid: bigint, tags: readonly Tag[]): Promise<void> {
    for (const tag of tags) {
      const ids = this.#fences.get(tag);
      if (ids === undefined) this.#fences.set(tag, new Set([String(xid)]));
      else ids.add(String(xid));
    }
  }

  async release(xid: bigint, tags: readonly Tag[]): Promise<void> {
    for (const tag of tags) this.#release(tag, [String(xid)]);
    this.#released.add(xid);
  }

  async unfence(xids: readonly string[], tags: readonly Tag[]): Promise<void> {
    for (const tag of tags) this.#release(tag, xids);
  }

  async head(): Promise<Head> {
    const clockMs = this.#clock.nowMs();
    const lease = this.#liveLease();
    return {
      clockMs,
      position: this.#position,
      leaseLeftMs: lease === undefined ? 0 : lease.untilMs - clockMs,
      run: this.#run,
      released: [...this.#released]
        .sort((a, b) => (a < b ? -1 : 1))
        .slice(0, MAX_RELEASED_KNOWN)
        .map(String),
    };
  }

  async apply({ head, next, rows, barrier, grant }: Tick): Promise<Applied> {
    if (head.run !== this.#run) return 'moved';
    if (!samePosition(head.position, this.#position)) return 'raced';
    const untilMs = head.clockMs + LEASE_MS;
    if (this.#clock.nowMs() >= untilMs) return 'late';
    for (const { xid, tags } of rows) {
      if (this.#released.has(xid)) continue;
      for (const tag of tags) this.#release(tag, [String(xid)]);
      this.#released.add(xid);
    }
    this.#position = next;
    this.#released = new Set([...this.#released].filter((xid) => xid >= next.xid));
    if (grant) this.#grant(next, barrier, untilMs);
    return 'applied';
  }

  lostForMs(): number {
    return 0;
  }

  async close(): Promise<void> {}

  #grant(next: Position, barrier: bigint | undefined, untilMs: number): void {
    const lease = this.#liveLease();
    if (lease !== undefined) {
      this.#lease = { generation: lease.generation, purge: next.purge, untilMs };
      return;
    }
    if (this.#barrier !== undefined && this.#barrier.untilMs <= this.#clock.nowMs()) this.#barrier = undefined;
    if (this.#barrier === undefined && barrier !== undefined) this.#barrier = { xid: barrier, untilMs };
    if (this.#barrier !== undefined && next.xid >= this.#barrier.xid) {
      this.#lease = { generation: randomToken(), purge: next.purge, untilMs };
      this.#barrier = undefined;
    }
  }

  #liveLease() {
    return this.#lease !== undefined && this.#lease.untilMs > this.#clock.nowMs() ? this.#lease : undefined;
  }

  /** What the tag holds: its fence, as the text that Redis would hold, or its token. */
  #held(tag: Tag): string | undefined {
    const ids = this.#fences.get(tag);
    return ids === undefined ? this.#tokens.get(tag) : `!${[...ids].join(',')},`;
  }

  #release(tag: Tag, xids: readonly string[]): void {
    const ids = this.#fences.get(tag);
    for (const xid of xids) ids?.delete(xid);
    if (ids !== undefined && ids.size > 0) return;
    this.#fences.delete(tag);
    this.#tokens.set(tag, randomToken(), TOKEN_TTL_MS);
  }
}

function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  return a?.xid === b?.xid && a?.purge === b?.purge;
}

class ExpiringMap<K extends string> {
  readonly #values = new Map<K, { value: string; untilMs: number }>();

  constructor(
    private readonly max: number,
    private readonly clock: Clock,
  ) {}

  get(key: K): string | undefined {
    const held = this.#values.get(key);
    if (held === undefined || held.untilMs > this.clock.nowMs()) return held?.value;
    this.#values.delete(key);
    return undefined;
  }

  pick(keys: readonly K[]): Map<K, string> {
    const found = new Map<K, string>();
    for (const key of keys) {
      const value = this.get(key);
      if (value !== undefined) found.set(key, value);
    }
    return found;
  }

  set(key: K, value: string, ttlMs: number): void {
    this.#values.delete(key);
    this.#values.set(key, { value, untilMs: this.clock.nowMs() + ttlMs });
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.max) break;
      this.#values.delete(oldest);
    }
  }
}
