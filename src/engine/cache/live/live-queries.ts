/**
 * Runs live queries again when their answers may have changed. The rules are those of PROTOCOL.md, "Live queries"; they
 * are model-checked.
 *
 * A live query is *due* when another run must be made, and *settled* when none is due or running. One run of it is made
 * at a time. Its answer is *proved* if memory knows everything that the log has named since the earliest log read of
 * its parts, and none of it is one of the answer's tags: then the live query is settled, and the index has it under
 * these tags. An answer that is not proved is sent all the same, and a timer repeats the run: the log has no record of
 * a fence's end, so nothing else would make the live query due.
 *
 * What makes a live query due: a record of the log that names a tag, whichever log read of this process brings it;
 * memory that was emptied, or a log that cannot be read; a client that joins; the end of the answer's time. The log is
 * read by a timer. Messages of other processes only make it sooner.
 */
import type { CacheEvents } from '../events.js';
import { FairQueue } from '../fair-queue.js';
import { digest } from '../key.js';
import type { NearCache } from '../near-cache.js';
import { type Dependencies, ReadSet } from '../read-set.js';
import type { Messages, StoreEvent } from '../store.js';
import type { StoreReads } from '../store-reads.js';
import type { Tag } from '../tag.js';
import { type Clock, DAY, SECOND } from '../time.js';
import {
  type LiveAnswer,
  type LiveClient,
  type LiveMembership,
  type LiveOptions,
  LiveQuery,
  type LiveRun,
  type LiveRunEnded,
  type LiveSource,
  type LiveState,
  type Member,
  RunLater,
  TooManyLiveQueries,
} from './live-query.js';
import { TagIndex } from './tag-index.js';

/** How often the timer reads the log. */
const READ_LOG_EVERY_MS = 500;
/** How long a run waits for the end of the write that has fenced a tag of the answer. Its release ends the wait. */
const FENCE_WAIT_MS = 250;
/** When all live queries become due at once, their runs begin at random moments within this time. */
const SPREAD_MS = SECOND;
/** The wait before an unproved run is repeated. The next is twice as long, until a tag of the answer is named. */
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2 * SECOND;
/** Maximum number of runs in progress. */
const MAX_RUNS = 16;

interface Parts {
  readonly near: NearCache | undefined;
  readonly reads: StoreReads;
  readonly store: Messages;
  readonly clock: Clock;
  readonly events: CacheEvents;
}

export class LiveQueries {
  readonly #parts: Parts;
  readonly #options: LiveOptions;
  readonly #queries = new Map<string, LiveQuery>();
  readonly #index: TagIndex<LiveQuery>;
  readonly #turns = new FairQueue({ max: MAX_RUNS });
  #clients = 0;
  /** Present while there are live queries. */
  #listening: { stop(): void } | undefined;
  #logRead: Promise<void> | undefined;
  /** Follows `#logRead`. */
  #nextLogRead: Promise<void> | undefined;
  /** Whether records may have been missed since the last log read of ours that proved memory. */
  #mayHaveMissed = false;
  #isClosed = false;

  constructor(parts: Parts, options: LiveOptions = {}) {
    this.#parts = parts;
    this.#options = options;
    this.#index = new TagIndex(options.maxTags ?? 1_000_000);
  }

  get state(): LiveState {
    let due = 0;
    let unindexed = 0;
    for (const query of this.#queries.values()) {
      if (!query.isSettled) due++;
      if (!query.isIndexed) unindexed++;
    }
    const { running } = this.#turns.state;
    return { queries: this.#queries.size, clients: this.#clients, running, due, tags: this.#index.size, unindexed };
  }

  /**
   * Sends the client the answer of a run that begins after this call, then each answer that differs from the one
   * before. After `close` it sends nothing.
   * @throws TooManyLiveQueries
   */
  join(source: LiveSource, client: LiveClient): LiveMembership {
    if (this.#isClosed) return { again() {}, leave() {} };
    const query = this.#queries.get(source.key) ?? this.#opened(source);
    const member: Member = { client, isAnswered: false };
    query.members.add(member);
    query.notBeforeMs = Number.NEGATIVE_INFINITY;
    this.#clients++;
    this.#await(query, member);
    return { again: () => this.#await(query, member), leave: () => this.#leave(query, member) };
  }

  /** Ends all live queries. No client gets a further answer. */
  close(): void {
    this.#isClosed = true;
    for (const query of this.#queries.values()) this.#end(query);
  }

  #opened(source: LiveSource): LiveQuery {
    const { maxQueries = 20_000 } = this.#options;
    if (this.#queries.size >= maxQueries) throw new TooManyLiveQueries(`this process has ${maxQueries} live queries`);
    const query = new LiveQuery(source);
    this.#queries.set(source.key, query);
    this.#listening ??= this.#listen();
    return query;
  }

  #await(query: LiveQuery, member: Member): void {
    if (!query.members.has(member)) return;
    query.waiting.add(member);
    this.#makeDue(query, 0);
  }

  #leave(query: LiveQuery, member: Member): void {
    if (!query.members.delete(member)) return;
    query.waiting.delete(member);
    this.#clients--;
    if (query.members.size === 0) this.#end(query);
  }

  #end(query: LiveQuery): void {
    this.#clients -= query.members.size;
    query.members.clear();
    query.gone.abort();
    clearTimeout(query.timer);
    this.#index.set(query, NO_TAGS);
    this.#queries.delete(query.source.key);
    if (this.#queries.size > 0) return;
    this.#listening?.stop();
    this.#listening = undefined;
  }

  #listen(): { stop(): void } {
    const { near, store } = this.#parts;
    const unwatch = near?.watch({
      invalidated: (tags) => this.#onTags(tags, FENCE_WAIT_MS),
      emptied: () => {
        this.#missed();
        void this.#readLog(); // so that memory is filled again before most runs
      },
    });
    const unsubscribe = store.subscribe((event) => this.#onStoreEvent(event));
    const timer = setInterval(() => void this.#readLog(), READ_LOG_EVERY_MS).unref();
    return {
      stop() {
        unwatch?.();
        unsubscribe();
        clearInterval(timer);
      },
    };
  }

  /**
   * A message says that a write is over, so its queries run at once. Those that are settled run when memory has its
   * record: a run that begins before is not proved, and would be repeated.
   */
  #onStoreEvent(event: StoreEvent): void {
    if (event.kind === 'disconnected') {
      void this.#readLog();
      return;
    }
    const unaware = new Set<LiveQuery>();
    for (const query of this.#withTags(event.tags)) {
      if (query.isSettled) unaware.add(query);
      else this.#onNamed(query, 0);
    }
    // A run in progress ends without being due unless memory knows of a write that it has not seen.
    if (unaware.size === 0 && this.#turns.state.running === 0) return;
    void this.#readLog().then(() => {
      for (const query of unaware) this.#onNamed(query, 0);
    });
  }

  #onTags(tags: readonly Tag[], waitMs: number): void {
    for (const query of this.#withTags(tags)) this.#onNamed(query, waitMs);
  }

  *#withTags(tags: readonly Tag[]): Generator<LiveQuery> {
    for (const tag of tags) yield* this.#index.of(tag);
  }

  #onNamed(query: LiveQuery, waitMs: number): void {
    if (!query.isUncacheable) query.unproved = 0;
    this.#makeDue(query, waitMs);
  }

  /** Records may have been missed, or writes made now may have none. */
  #missed(): void {
    this.#mayHaveMissed = true;
    for (const query of this.#queries.values()) {
      if (query.dueSinceMs === undefined) this.#makeDue(query, this.#spread()); // others have their time
    }
  }

  /** Memory is proved again, so live queries that wait for that run. */
  #recovered(): void {
    if (!this.#mayHaveMissed) return;
    this.#mayHaveMissed = false;
    for (const query of this.#queries.values())
      if (query.dueSinceMs !== undefined) this.#onNamed(query, this.#spread());
  }

  #spread(): number {
    const { random = Math.random } = this.#options;
    return random() * SPREAD_MS;
  }

  /**
   * Applies the log to memory, which calls `#onTags` for each record. Never rejects.
   * @returns resolves when a log read that is sent after this call has been applied or has failed
   */
  #readLog(): Promise<void> {
    if (this.#logRead === undefined) {
      this.#logRead = this.#readLogNow().finally(() => {
        this.#logRead = undefined;
      });
      return this.#logRead;
    }
    this.#nextLogRead ??= this.#logRead.then(() => {
      this.#nextLogRead = undefined;
      return this.#readLog();
    });
    return this.#nextLogRead;
  }

  async #readLogNow(): Promise<void> {
    const { near, reads, events } = this.#parts;
    if (near === undefined) return;
    try {
      if (reads.proves(await reads.readLog())) this.#recovered();
      else this.#missed();
    } catch (error) {
      events.storeFailed?.('read', error);
      this.#missed();
    }
  }

  /** A query whose run is in progress is judged at the end of that run (`#settle`). */
  #makeDue(query: LiveQuery, waitMs: number): void {
    if (query.state === 'running' || query.gone.signal.aborted) return;
    query.dueSinceMs ??= this.#parts.clock.monotonicMs();
    if (query.state === 'waiting') this.#wakeIn(query, waitMs);
  }

  #wakeIn(query: LiveQuery, waitMs: number): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const throttledMs = hasUnanswered(query.waiting) ? nowMs : query.beganMs + query.source.throttleMs;
    const atMs = Math.max(nowMs + Math.min(waitMs, DAY), throttledMs, query.notBeforeMs);
    if (atMs >= query.timerAtMs) return;
    clearTimeout(query.timer);
    query.timerAtMs = atMs;
    query.timer = setTimeout(() => void this.#queue(query), atMs - nowMs).unref();
  }

  async #queue(query: LiveQuery): Promise<void> {
    query.timerAtMs = Number.POSITIVE_INFINITY;
    query.dueSinceMs ??= this.#parts.clock.monotonicMs();
    query.state = 'queued';
    const { signal } = query.gone;
    try {
      await this.#turns.run(query.source.viewer, signal, () => this.#run(query));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #run(query: LiveQuery): Promise<void> {
    await new Promise(setImmediate); // requests that have arrived go first
    const { signal } = query.gone;
    if (signal.aborted) return;
    const { near, clock } = this.#parts;
    const beganMs = clock.monotonicMs();
    const { dueSinceMs = beganMs, waiting } = query;
    Object.assign(query, { state: 'running', dueSinceMs: undefined, beganMs, waiting: new Set() });
    query.runs++;
    const readSet = new ReadSet(near?.logReadsSent ?? 0, { answer: true, live: true });
    const digestOf = lastDigest();
    const outcome = await outcomeOf(query.source, {
      readSet,
      signal,
      isFirst: hasUnanswered(waiting),
      isUnchanged: (text) => digestOf(text) === query.digest,
    });
    if (signal.aborted) return;
    let ended: Pick<LiveRunEnded, 'result' | 'proved' | 'error'>;
    if ('error' in outcome) {
      ended = this.#fail(query, waiting, outcome.error);
    } else {
      const proved = this.#settle(query, readSet);
      const { text } = outcome;
      ended = { result: this.#send(query, { number: query.runs, text, digest: digestOf(text) }, waiting), proved };
    }
    const nowMs = clock.monotonicMs();
    this.#options.ended?.({ ...ended, ms: nowMs - beganMs, dueMs: nowMs - dueSinceMs });
  }

  #send(query: LiveQuery, answer: LiveAnswer, waiting: ReadonlySet<Member>): 'sent' | 'unchanged' {
    const changed = answer.digest !== query.digest;
    query.digest = answer.digest;
    for (const member of query.members) {
      if (!waiting.has(member) && (!changed || !member.isAnswered)) continue; // or it joined during the run
      member.isAnswered = true;
      member.client.answered(answer);
    }
    return changed ? 'sent' : 'unchanged';
  }

  /**
   * Judges the answer by what memory knows, and enters its tags into the index: in one step, so that no record comes
   * between.
   * @returns whether the answer is proved
   */
  #settle(query: LiveQuery, { dependencies }: ReadSet): boolean {
    const { near, clock } = this.#parts;
    query.state = 'waiting';
    const { tags, since, untilMs, uncacheable } = dependencies as Dependencies; // it was opened for answers
    // Without any read, the answer depends on no data.
    const holds = since === undefined || near?.holdsSince(since, tags) === true;
    const leftMs = untilMs - clock.nowMs();
    const proved = !uncacheable && holds && leftMs > 0;
    query.isUncacheable = uncacheable;
    query.failures = 0;
    // Without a proof, too: then the run is repeated sooner when one of these tags is named.
    query.isIndexed = this.#index.set(query, tags);
    if (!proved || !query.isIndexed) this.#makeDue(query, retryMs(query.unproved++));
    else query.unproved = 0;
    if (query.waiting.size > 0) this.#makeDue(query, 0);
    else if (query.dueSinceMs === undefined && leftMs !== Number.POSITIVE_INFINITY) this.#wakeIn(query, leftMs);
    return proved;
  }

  /** Repeats the run by a timer alone: a tag that is named does not bring it sooner. */
  #fail(
    query: LiveQuery,
    waiting: ReadonlySet<Member>,
    error: unknown,
  ): Pick<LiveRunEnded, 'result' | 'proved' | 'error'> {
    query.state = 'waiting';
    const isPostponed = error instanceof RunLater;
    const retryAfterMs = isPostponed ? error.afterMs : retryMs(query.failures++);
    const afterMs = hasUnanswered(query.waiting) ? 0 : retryAfterMs; // a client that joined during the run does not wait
    for (const member of waiting) if (query.members.has(member)) query.waiting.add(member);
    query.notBeforeMs = this.#parts.clock.monotonicMs() + afterMs;
    this.#makeDue(query, afterMs);
    return { result: isPostponed ? 'postponed' : 'failed', proved: false, error };
  }
}

function hasUnanswered(members: ReadonlySet<Member>): boolean {
  for (const { isAnswered } of members) if (!isAnswered) return true;
  return false;
}

/** The wait before a run that was not proved, or has failed, is repeated. In ms. */
function retryMs(repetitions: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** repetitions, MAX_RETRY_MS);
}

/** Computes the digest of a text once, however often it is asked for in a row. */
function lastDigest(): (text: string) => string {
  let last: { readonly text: string; readonly digest: string } | undefined;
  return (text) => {
    if (last?.text !== text) last = { text, digest: digest(text) };
    return last.digest;
  };
}

async function outcomeOf(source: LiveSource, run: LiveRun): Promise<{ text: string } | { error: unknown }> {
  try {
    return { text: await source.run(run) };
  } catch (error) {
    return { error };
  }
}

const NO_TAGS: ReadonlySet<Tag> = new Set();
