/**
 * What was invalidated since it was last taken, while somebody watches. How many copies of this process an invalidation
 * made old is counted before memory applies the record of the log, since copies leave memory when they are next read.
 */
import {
  type Cache,
  type Messages,
  RecentMap,
  type ReleasedBy,
  recordOf,
  type StoreEvent,
  type Tag,
  tableOf,
} from '../../engine/cache/index.js';
import { ageOfTransactions, type Sql } from '../../engine/postgres/index.js';
import { withTimeout } from '../../engine/redis/index.js';
import type { ActivityMessage, Invalidation } from './activity-message.js';

const MAX_INVALIDATIONS = 100;
const MAX_TAGS_SHOWN = 50;
const MAX_COUNTS = 1000;
/**
 * Counting looks at all copies: milliseconds where memory is full. This much time is spent on it between two messages, a
 * second apart; what is spent beyond it is taken off the next time.
 */
const MAX_COUNTING_MS = 5;
/** Postgres may be away: then the rest of the message is sent without these times. */
const AGES_WAIT_MS = 200;

interface OldCopies {
  readonly entries: number;
  readonly answers: number;
}

interface Heard {
  readonly atMs: number;
  readonly monotonicMs: number;
  readonly xids: readonly string[];
  readonly tags: readonly Tag[];
  readonly by: ReleasedBy;
}

export class InvalidationFeed {
  readonly #store: Messages;
  readonly #memory: Cache['memory'];
  readonly #sql: () => Sql;
  readonly #counts = new RecentMap<string, OldCopies>(MAX_COUNTS);
  #heard: Heard[] = [];
  #omitted = 0;
  #countingMs = 0;
  readonly #stop: () => void;

  constructor({ store, memory, sql }: { store: Messages; memory: Cache['memory']; sql: () => Sql }) {
    this.#store = store;
    this.#memory = memory;
    this.#sql = sql;
    this.#stop = this.#store.subscribe((news) => this.#onNews(news));
    memory.onInvalidation((tags) => {
      const old = this.#count(tags);
      if (old !== undefined) this.#counts.set(tags.join('\n'), old);
    });
  }

  close(): void {
    this.#stop();
    this.#memory.onInvalidation(undefined);
  }

  /** What was heard since the last call, oldest first, and how many more there were. */
  async take(): Promise<Pick<ActivityMessage, 'invalidations' | 'invalidationsOmitted'>> {
    const [heard, omitted] = [this.#heard, this.#omitted];
    this.#heard = [];
    this.#omitted = 0;
    const counted = heard.map(({ tags }) => this.#counts.get(recordOf(tags).join('\n')) ?? this.#count(tags));
    this.#countingMs = Math.max(0, this.#countingMs - MAX_COUNTING_MS);
    const ages = await this.#agesOf(heard.flatMap(({ xids }) => xids));
    const nowMs = performance.now();
    const invalidations = heard.map((one, i) => {
      const agesMs = one.xids.flatMap((xid) => ages.get(xid) ?? []);
      const knownAfterMs = agesMs.length === 0 ? null : Math.max(...agesMs) - (nowMs - one.monotonicMs);
      return invalidationOf(one, knownAfterMs, counted[i]);
    });
    return { invalidations, invalidationsOmitted: omitted };
  }

  #onNews(news: StoreEvent): void {
    if (news.kind !== 'released' || news.tags.length === 0) return;
    if (this.#heard.length >= MAX_INVALIDATIONS) {
      this.#omitted++;
      return;
    }
    const { xids, tags, by } = news;
    this.#heard.push({ atMs: Date.now(), monotonicMs: performance.now(), xids, tags, by });
  }

  /** Undefined: no memory, or no time left for counting. */
  #count(tags: readonly Tag[]): OldCopies | undefined {
    if (this.#memory.maxBytes === 0 || this.#countingMs >= MAX_COUNTING_MS) return undefined;
    const startedMs = performance.now();
    const old = this.#memory.countUnder(tags);
    this.#countingMs += performance.now() - startedMs;
    return old;
  }

  async #agesOf(xids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    try {
      return await withTimeout(ageOfTransactions(this.#sql(), xids), AGES_WAIT_MS);
    } catch {
      return new Map();
    }
  }
}

function invalidationOf(
  { atMs, xids, tags, by }: Heard,
  knownAfterMs: number | null,
  old: OldCopies | undefined,
): Invalidation {
  return {
    at: new Date(atMs),
    transactions: xids,
    by,
    tables: [...new Set(tags.map(tableOf))],
    tags: tags.slice(0, MAX_TAGS_SHOWN),
    tagsOmitted: Math.max(0, tags.length - MAX_TAGS_SHOWN),
    knownAfterMs: knownAfterMs === null ? null : Math.max(0, Math.round(knownAfterMs * 10) / 10),
    oldEntries: old?.entries ?? null,
    oldAnswers: old?.answers ?? null,
  };
}
