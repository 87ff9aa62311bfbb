/**
 * Idempotent creation. A client that does not know whether its mutation arrived repeats it with the same
 * `idempotencyKey` and gets the object that the first attempt created. Postgres decides: the key is a unique row,
 * written in the transaction that creates the object. Of two concurrent requests the second waits on the unique key. It
 * then finds the row of the first, or no row if that request was refused.
 *
 * The store also keeps a hint that a key has been used. With the hint, a repetition costs two reads instead of a write
 * transaction with its locks and its fence. The row in Postgres always decides: a hint that is lost, wrong or older
 * than a restore costs time only.
 */
import { and, eq, sql } from 'drizzle-orm';
import { v7 } from 'uuid';
import { fromUuid, type Id, newId, toUuid, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import { canonical, type EntryStore, type Key, digest as sha256 } from '../../engine/cache/index.js';
import type { Database, Executor, Transaction, Transactor, WriteResult } from '../../engine/postgres/index.js';
import type { Form } from '../../graphql/form.js';
import { Refusal, together, UserErrorCode } from '../../graphql/user-error.js';
import { DAY } from '../../std/time.js';
import { idempotencyKeys, type StoredResult } from './idempotency.table.js';

/** Minimum time a key is kept. */
const RETENTION_MS = DAY;
/** Old rows deleted with each new one. More than one, so the table shrinks faster than it grows. */
const MAX_ROWS_PER_TRIM = 20;

const PATH = ['input', 'idempotencyKey'];

export interface Creation<P extends string, Row> {
  readonly by: Writer;
  /** The name of the mutation. */
  readonly operation: string;
  /** Prefix of the object's id. */
  readonly prefix: P;
  /**
   * The input after parsing, so that equivalent spellings have equal digests. With faults it is refused, whatever the
   * key.
   */
  readonly form: Form<{ readonly idempotencyKey?: string | null | undefined }>;
  /** Writes the object with this id. */
  readonly create: (tx: Transaction, id: Id<P>) => Promise<Row>;
  /** The current object, if the viewer can see it. */
  readonly find: (db: Executor, id: Id<P>) => Promise<Row | undefined>;
}

/** A mutation of many objects. What it answered is kept with the key, its refusals included. */
export interface ManyWrites<P extends string, Row> {
  readonly by: Writer;
  /** The name of the mutation. */
  readonly operation: string;
  /** Prefix of the objects' ids. */
  readonly prefix: P;
  readonly key: string | null | undefined;
  /** The input after parsing, so that equivalent spellings have equal digests. */
  readonly input: unknown;
  readonly run: (tx: Transaction) => Promise<readonly ManyResult<P, Row>[]>;
  /** Those of the objects that the viewer can see, as they are now. */
  readonly find: (db: Executor, ids: readonly Id<P>[]) => Promise<ReadonlyMap<Id<P>, Row>>;
  /**
   * What a repetition answers for an object that was not refused. Default: the object as it is now, or a refusal if it
   * is gone.
   */
  readonly outcomeOf?: (id: Id<P>) => Row;
}

/** One of many objects after the mutation, or why it was refused. */
export interface ManyResult<P extends string, Row> {
  readonly id: Id<P>;
  readonly outcome: Row | Refusal;
}

/** One use of a key: the key, its user and mutation, and the digest of the input. */
interface Use {
  readonly userId: UserId;
  readonly operation: string;
  readonly key: string;
  readonly digest: string;
}

/** The columns of a key's row that decide about a repetition. */
type Resolved = Pick<typeof idempotencyKeys.$inferSelect, 'digest' | 'createdId' | 'results'>;

/** What a mutation does with a key. */
interface Handling<T> {
  /** Writes for the first time. @param uuid of the key's row */
  readonly first: (tx: Transaction, uuid: string) => Promise<T>;
  /** The answer to a repetition. */
  readonly again: (db: Executor, resolved: Resolved) => Promise<T>;
}

export class Idempotency {
  readonly #transactor: Transactor;
  readonly #db: Pick<Database, 'read'>;
  readonly #store: Pick<EntryStore, 'read' | 'fill'>;

  constructor(options: {
    transactor: Transactor;
    db: Pick<Database, 'read'>;
    store: Pick<EntryStore, 'read' | 'fill'>;
  }) {
    this.#transactor = options.transactor;
    this.#db = options.db;
    this.#store = options.store;
  }

  /**
   * Creates the object, or returns the one that this viewer created earlier with the same key. Without a key it always
   * creates.
   * @throws Refusal CONFLICT when the key was used with another input, NOT_FOUND when its object is gone; errors of
   * `create`, which leave the key unused.
   */
  async create<P extends string, Row>(creation: Creation<P, Row>): Promise<WriteResult<Row>> {
    const { by, prefix, create, find } = creation;
    const use = useOf(creation);
    if (use === undefined) return this.#transactor.transact((tx) => create(tx, newId(prefix)), by);
    return this.#once(by, use, {
      first: (tx, uuid) => create(tx, fromUuid(prefix, uuid)),
      again: async (db, { createdId }) => {
        const row = await find(db, fromUuid(prefix, createdId));
        if (row === undefined) throw gone(prefix);
        return row;
      },
    });
  }

  /**
   * Writes many objects, or returns what this viewer was answered earlier with the same key, with the objects as they
   * are now. Without a key it always writes.
   * @throws Refusal CONFLICT when the key was used with another input; errors of `run`, which leave the key unused
   */
  runMany<P extends string, Row extends object>(
    many: ManyWrites<P, Row>,
  ): Promise<WriteResult<readonly ManyResult<P, Row>[]>> {
    const { by, operation, key, input, run } = many;
    if (key === undefined || key === null) return this.#transactor.transact(run, by);
    const use = { userId: by.viewerId, operation, key, digest: sha256(canonical(input)) };
    return this.#once(by, use, {
      first: async (tx) => {
        const results = await run(tx);
        await tx
          .update(idempotencyKeys)
          .set({ results: results.map(storedResult) })
          .where(isRowOf(use));
        return results;
      },
      again: (db, { results }) => resultsAgain(db, many, results ?? []),
    });
  }

  /** @throws Refusal CONFLICT when the key was used with another input */
  async #once<T>(by: Writer, use: Use, { first, again }: Handling<T>): Promise<WriteResult<T>> {
    const hinted = await this.#hinted(use);
    if (hinted !== undefined) {
      requireSameInput(use, hinted);
      return { value: await again(this.#db.read, hinted), tags: [] };
    }
    const result = await this.#transactor.transact(async (tx) => {
      const uuid = v7();
      const resolved = await claimKey(tx, use, uuid);
      requireSameInput(use, resolved);
      if (resolved.createdId !== uuid) return again(tx, resolved);
      const value = await first(tx, uuid);
      await trim(tx);
      return value;
    }, by);
    this.#hint(use);
    return result;
  }

  /** The key's row, read only if the store has a hint for it. */
  async #hinted(use: Use): Promise<Resolved | undefined> {
    const key = hintKey(use);
    const view = await this.#store.read([key], []).catch(() => undefined);
    return view?.entries.has(key) ? readKey(this.#db.read, use) : undefined;
  }

  /** Not awaited: a lost hint costs time only. */
  #hint(use: Use): void {
    void this.#store.fill([{ key: hintKey(use), text: 'used', ttlMs: RETENTION_MS }]).catch(() => {});
  }
}

function useOf({ by, operation, form }: Pick<Creation<string, unknown>, 'by' | 'operation' | 'form'>): Use | undefined {
  const { idempotencyKey, ...rest } = form.fields;
  if (form.faults.length > 0 || idempotencyKey === undefined || idempotencyKey === null) return undefined;
  // In create mutations `null` means absent. Absent fields are left out, so the digest stays equal when a later build
  // has more fields.
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return { userId: by.viewerId, operation, key: idempotencyKey, digest: sha256(canonical(given)) };
}

/**
 * Stored among the cache entries; names of sources never contain `#`. The client's key can have any length, so its
 * digest is used.
 */
export function hintKey({ userId, operation, key }: Omit<Use, 'digest'>): Key {
  return `#idempotency:${sha256(canonical([userId, operation, key]))}` as Key;
}

/**
 * Inserts the key's row or returns the existing one. DO UPDATE rather than DO NOTHING: only DO UPDATE waits for a
 * concurrent transaction, returns its row and protects it from being trimmed, in one statement.
 */
async function claimKey(tx: Transaction, use: Use, uuid: string): Promise<Resolved> {
  const [row] = await tx
    .insert(idempotencyKeys)
    .values({ ...use, createdId: uuid })
    .onConflictDoUpdate({
      target: [idempotencyKeys.userId, idempotencyKeys.operation, idempotencyKeys.key],
      set: { key: use.key },
    })
    .returning(RESOLVED);
  return row as Resolved;
}

const RESOLVED = {
  digest: idempotencyKeys.digest,
  createdId: idempotencyKeys.createdId,
  results: idempotencyKeys.results,
};

const isRowOf = ({ userId, operation, key }: Use) =>
  and(eq(idempotencyKeys.userId, userId), eq(idempotencyKeys.operation, operation), eq(idempotencyKeys.key, key));

async function readKey(db: Executor, use: Use): Promise<Resolved | undefined> {
  const [row] = await db.select(RESOLVED).from(idempotencyKeys).where(isRowOf(use));
  return row;
}

function requireSameInput(use: Use, { digest }: Resolved): void {
  if (digest === use.digest) return;
  throw new Refusal(UserErrorCode.CONFLICT, 'this key was already used with different input', PATH);
}

function gone(prefix: string): Refusal {
  return new Refusal(UserErrorCode.NOT_FOUND, `the ${prefix} that was written with this key no longer exists`, PATH);
}

function storedResult<P extends string, Row>({ id, outcome }: ManyResult<P, Row>): StoredResult {
  const refusals = outcome instanceof Refusal ? [outcome, ...outcome.others] : [];
  return { uuid: toUuid(id), faults: refusals.map(({ code, message, path }) => ({ code, message, path })) };
}

async function resultsAgain<P extends string, Row extends object>(
  db: Executor,
  { prefix, find, outcomeOf }: ManyWrites<P, Row>,
  stored: readonly StoredResult[],
): Promise<ManyResult<P, Row>[]> {
  const ids = stored.map(({ uuid }) => fromUuid(prefix, uuid));
  const rows = await find(db, ids);
  return stored.map(({ uuid, faults }) => {
    const id = fromUuid(prefix, uuid);
    const row = rows.get(id);
    const refusals = faults.map(({ code, message, path }) => {
      const current = code === UserErrorCode.CONFLICT ? (row ?? null) : null;
      return new Refusal(code as UserErrorCode, message, path, current);
    });
    if (refusals.length > 0) return { id, outcome: together(refusals) };
    return { id, outcome: outcomeOf?.(id) ?? row ?? gone(prefix) };
  });
}

/**
 * Runs with each new key. Deletes the oldest keys past their retention; skips rows that another transaction has locked.
 */
async function trim(tx: Transaction): Promise<void> {
  await tx.execute(sql`
    delete from ${idempotencyKeys} where ctid = any(array(
      select ctid from ${idempotencyKeys}
      where ${idempotencyKeys.createdAt} < now() - make_interval(secs => ${RETENTION_MS / 1000})
      order by ${idempotencyKeys.createdAt} limit ${MAX_ROWS_PER_TRIM} for update skip locked))`);
}
