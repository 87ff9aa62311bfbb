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
import { fromUuid, type Id, newId, toUuid, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import { canonical, type EntryStore, type Key, digest as sha256 } from '../../engine/cache/index.js';
import type { Database, Executor, Transaction, Transactor, WriteResult } from '../../engine/postgres/index.js';
import type { Form } from '../../graphql/form.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { DAY } from '../../std/time.js';
import { idempotencyKeys } from './idempotency.table.js';

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

/** One use of a key: the key, its user and mutation, and the digest of the input. */
interface Use {
  readonly userId: UserId;
  readonly operation: string;
  readonly key: string;
  readonly digest: string;
}

/** The columns of a key's row that decide about a repetition. */
type Resolved = Pick<typeof idempotencyKeys.$inferSelect, 'digest' | 'createdId'>;

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
    const use = useOf(creation);
    if (use === undefined)
      return this.#transactor.transact((tx) => creation.create(tx, newId(creation.prefix)), creation.by);
    const again = await this.#hinted(use);
    if (again !== undefined) return { value: await found(this.#db.read, creation, use, again), tags: [] };
    const result = await this.#transactor.transact((tx) => createOnce(tx, creation, use), creation.by);
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

async function createOnce<P extends string, Row>(tx: Transaction, creation: Creation<P, Row>, use: Use): Promise<Row> {
  const id = newId(creation.prefix);
  const resolved = await claimKey(tx, use, id);
  if (resolved.createdId !== toUuid(id)) return found(tx, creation, use, resolved);
  const row = await creation.create(tx, id);
  await trim(tx);
  return row;
}

/**
 * Inserts the key's row or returns the existing one. DO UPDATE rather than DO NOTHING: only DO UPDATE waits for a
 * concurrent transaction, returns its row and protects it from being trimmed, in one statement.
 */
async function claimKey(tx: Transaction, use: Use, id: Id): Promise<Resolved> {
  const [row] = await tx
    .insert(idempotencyKeys)
    .values({ ...use, createdId: toUuid(id) })
    .onConflictDoUpdate({
      target: [idempotencyKeys.userId, idempotencyKeys.operation, idempotencyKeys.key],
      set: { key: use.key },
    })
    .returning({ digest: idempotencyKeys.digest, createdId: idempotencyKeys.createdId });
  return row as Resolved;
}

async function readKey(db: Executor, { userId, operation, key }: Use): Promise<Resolved | undefined> {
  const [row] = await db
    .select({ digest: idempotencyKeys.digest, createdId: idempotencyKeys.createdId })
    .from(idempotencyKeys)
    .where(
      and(eq(idempotencyKeys.userId, userId), eq(idempotencyKeys.operation, operation), eq(idempotencyKeys.key, key)),
    );
  return row;
}

/** The object that was created with the key. @throws Refusal */
async function found<P extends string, Row>(
  db: Executor,
  { prefix, find }: Creation<P, Row>,
  use: Use,
  { digest, createdId }: Resolved,
): Promise<Row> {
  if (digest !== use.digest) {
    throw new Refusal(UserErrorCode.CONFLICT, 'this key was already used with different input', PATH);
  }
  const row = await find(db, fromUuid(prefix, createdId));
  if (row === undefined) {
    throw new Refusal(UserErrorCode.NOT_FOUND, `the ${prefix} that was created with this key no longer exists`, PATH);
  }
  return row;
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
