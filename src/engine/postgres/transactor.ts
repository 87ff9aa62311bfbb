/**
 * The only way to write: `transact(fn)`. It runs `fn` in a transaction, reads back the tags that the triggers named,
 * fences them, commits and releases. When it has returned, no process serves a value that the commit made old.
 */
import { SpanKind } from '@opentelemetry/api';
import { type Cache, CacheError, type ExactFence, LEASE_MS, type Tag, type WrittenFills } from '../cache/index.js';
import { closeSpan, inSpan, openSpan, type Span, type SpanDescription } from '../cache/spans.js';
import { type Clock, systemClock } from '../cache/time.js';
import { retryingConflicts } from './conflicts.js';
import type { Transaction } from './executor.js';
import type { FenceWatch } from './fences.js';
import { type OwnWritten, touchedTags, writtenValues } from './outbox.js';
import { withSettings } from './pool-transaction.js';
import { sqlStateOf } from './server-error.js';
import { MAX_WRITES, WriteQueue } from './write-queue.js';
import type { Writer } from './writer.js';

/** The connection broke during COMMIT: the write may or may not have happened. */
export class CommitOutcomeUnknown extends Error {
  override readonly name = 'CommitOutcomeUnknown';
  readonly code = 'COMMIT_OUTCOME_UNKNOWN';

  constructor(cause: unknown) {
    super('The connection broke during COMMIT: read again to see whether the write happened.', { cause });
  }
}

/** Where writes run: a pool of Drizzle's. */
export interface WriteDatabase {
  readonly write: { transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> };
  /** Transactions that write at once. */
  readonly maxWrites?: number;
}

/** Settings of a transaction by name, such as `app.user`: triggers and functions read them by `current_setting`. */
export type TransactionSettings = Readonly<Record<string, string>>;

export interface TransactOptions {
  /** The first statement of `fn` makes the writer's settings itself, so they are not sent. Default: false. */
  readonly setsOwn?: boolean;
}

export interface WriteResult<T> {
  readonly value: T;
  /** The tags that the write invalidated, for traces. */
  readonly tags: readonly Tag[];
}

export class Transactor {
  readonly #db: WriteDatabase;
  readonly #cache: Cache;
  readonly #fences: FenceWatch;
  readonly #clock: Clock;
  readonly #queue: WriteQueue;
  readonly #settingsOf: (by: Writer<string>) => TransactionSettings | undefined;

  /**
   * @param options settingsOf: the settings of each transaction of a writer, sent with BEGIN; only where `db` is a write
   * pool. Default: none
   */
  constructor(options: {
    db: WriteDatabase;
    cache: Cache;
    fences: FenceWatch;
    clock?: Clock;
    settingsOf?: ((by: Writer<string>) => TransactionSettings | undefined) | undefined;
  }) {
    this.#queue = new WriteQueue(options.db.maxWrites ?? MAX_WRITES);
    this.#db = options.db;
    this.#cache = options.cache;
    this.#fences = options.fences;
    this.#clock = options.clock ?? systemClock;
    this.#settingsOf = options.settingsOf ?? (() => undefined);
  }

  /** Writes running and waiting for a connection. */
  get state(): WriteQueue['state'] {
    return this.#queue.state;
  }

  /**
   * WRITE. `fn` may use only the transaction it is given: a cached read inside could be stored with uncommitted data.
   * After a deadlock or a serialization failure it runs again in a new transaction, so it must keep no state between
   * runs.
   * @throws what `fn` throws, after ROLLBACK; CommitOutcomeUnknown; CacheError FENCE_REFUSED under the fence policy
   * `reject`; before anything is written TooManyWrites and the reason of the writer's signal
   */
  transact<T>(
    fn: (tx: Transaction) => Promise<T>,
    by?: Writer<string>,
    { setsOwn = false }: TransactOptions = {},
  ): Promise<WriteResult<T>> {
    const settings = by === undefined || setsOwn ? undefined : this.#settingsOf(by);
    const run = settings === undefined ? fn : withSettings(settings, fn);
    return inSpan(
      () => ({ name: 'write' }),
      async (span) => {
        const result = await this.#transact(run, by);
        span?.setAttribute('cache.tags', result.tags.length);
        return result;
      },
    );
  }

  async #transact<T>(fn: (tx: Transaction) => Promise<T>, by: Writer<string> | undefined): Promise<WriteResult<T>> {
    const attempts = () =>
      retryingConflicts(
        () => this.#write(fn, by),
        (ms) => this.#clock.sleep(ms),
      );
    try {
      const { fenced, ...result } = await this.#queue.run(by, attempts);
      // Without a fence, readers may be served what the commit made old until the lease has ended or a tick has applied
      // it. This wait holds no connection and no place in the queue, since in an outage of Redis every write waits.
      if (!fenced) await this.#clock.sleep(LEASE_MS);
      return result;
    } finally {
      if (by?.readSet !== undefined) this.#cache.renew(by.readSet);
    }
  }

  async #write<T>(
    fn: (tx: Transaction) => Promise<T>,
    by: Writer<string> | undefined,
  ): Promise<WriteResult<T> & { readonly fenced: boolean }> {
    let written: OwnWritten | undefined;
    let fills: WrittenFills | undefined;
    let fence: boolean | ExactFence | undefined;
    let committing = false;
    let value: T;
    let commit: Span | undefined;
    const before = this.#cache.puts;
    try {
      value = await this.#db.write.transaction(async (tx) => {
        by?.signal?.throwIfAborted(); // it may have aborted while the connection opened
        if (by?.writes !== undefined) by.writes.begun = true;
        const result = await fn(tx);
        written = await touchedTags(tx);
        if (written !== undefined && written.tags.length > 0) {
          const { xid, tags, database } = written;
          fills = this.#cache.writtenFills(await writtenValues(tx, written), tags, before);
          fence = await this.#cache.fence(xid, tags, database, fills?.expected);
        }
        committing = true; // the driver sends COMMIT as soon as this returns
        commit = openSpan(commitSpan);
        return result;
      });
      closeSpan(commit);
    } catch (error) {
      closeSpan(commit, error);
      const unknown = committing && isOutcomeUnknown(error);
      if (unknown && written !== undefined && written.tags.length > 0) noteEffect(by);
      await this.#afterFailure(written, committing, error);
      throw unknown ? new CommitOutcomeUnknown(error) : error;
    }
    if (written === undefined || written.tags.length === 0) return { value, tags: [], fenced: true };
    noteEffect(by);
    const fenced = fence !== false;
    this.#committed(written, fence, fills);
    return { value, tags: written.tags, fenced };
  }

  /** COMMIT was acknowledged. */
  #committed(
    { xid, tags, database }: OwnWritten,
    fence: boolean | ExactFence | undefined,
    written: WrittenFills | undefined,
  ): void {
    const exact = typeof fence === 'object' ? fence : undefined;
    if (exact !== undefined && written !== undefined) this.#cache.keepWritten(written, exact);
    const fills = exact && written?.fills;
    this.#cache.release(xid, tags, { unfenced: fence === false, database, fills });
  }

  async #afterFailure(written: OwnWritten | undefined, committing: boolean, error: unknown): Promise<void> {
    if (written === undefined || written.tags.length === 0) return;
    const refused = error instanceof CacheError && error.code === 'FENCE_REFUSED';
    if (refused && !committing) {
      // ROLLBACK was acknowledged; otherwise this would be an error of the connection.
      this.#cache.release(written.xid, written.tags, { unfenced: false, database: written.database });
    } else {
      // Not released by this process: only Postgres knows how the transaction ended.
      await this.#fences.resolve([String(written.xid)], written.tags);
    }
  }
}

function commitSpan(): SpanDescription {
  const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': 'COMMIT' };
  return { name: 'COMMIT', kind: SpanKind.CLIENT, attributes };
}

function noteEffect(by: Writer<string> | undefined): void {
  if (by?.writes !== undefined) by.writes.effective = true;
}

/** Any error except the server's own refusal of the COMMIT: the connection failed, or the server is shutting down. */
function isOutcomeUnknown(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === undefined || /^(08|57P0)/.test(state);
}
