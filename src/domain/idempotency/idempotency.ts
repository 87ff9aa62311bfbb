/**
 * Creating once: a client that does not know whether its mutation arrived sends it again with the same `idempotencyKey`, and is answered with
 * what the first one created. Postgres decides: the key is a row, unique, written in the transaction that creates the object.
 * Two at once: the second waits on the unique key until the first has ended, and then finds its row, or none if it was refused.
 *
 * The store keeps what a key resolved to as well, but only as a hint that it has been used: with it, an answer again is two reads
 * instead of a transaction for writing, with its locks and its fence. Whatever the hint says, the row in Postgres is
 * read and decides, so one that is lost, wrong, or from before a restore costs time and nothing else.
 */
import { and, eq, sql } from 'drizzle-orm';
import { fromUuid, type Id, newId, toUuid, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import { canonical, type Key, type Store, digest as sha256 } from '../../engine/cache/index.js';
import type { Database, Executor, Transaction, Transactor, WriteResult } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { DAY } from '../../std/time.js';
import { idempotencyKeys } from './idempotency.table.js';

/** How long a key is kept at least. */
const RETENTION_MS = DAY;
/** Old rows that go with each new one: the table shrinks faster than it grows. */
const MAX_ROWS_PER_TRIM = 20;

const PATH = ['input', 'idempotencyKey'];

export interface Creation<P extends string, Row> {
  readonly by: Writer;
  /** The mutation's name. */
  readonly operation: string;
  /** Of the object's id. */
  readonly prefix: P;
  /** As the service read it: what is written differently and means the same is the same. */
  readonly input: object & { readonly idempotencyKey?: string | null | undefined };
  /** Writes the object, under this id. */
  readonly create: (tx: Transaction, id: Id<P>) => Promise<Row>;
  /** The object as it is now, if the viewer may see it. */
  readonly find: (db: Executor, id: Id<P>) => Promise<Row | undefined>;
}

/** A key as given, and what it was given with. */
interface Use {
  readonly userId: UserId;
  readonly operation: string;
  readonly key: string;
  readonly digest: string;
}

/** What a use finds under its key. */
type Resolved = Pick<typeof idempotencyKeys.$inferSelect, 'digest' | 'createdId'>;

export class Idempotency {
  readonly #transactor: Transactor;
  readonly #db: Pick<Database, 'read'>;
  readonly #store: Pick<Store, 'read' | 'fill'>;

  constructor(options: { transactor: Transactor; db: Pick<Database, 'read'>; store: Pick<Store, 'read' | 'fill'> }) {
    this.#transactor = options.transactor;
    this.#db = options.db;
    this.#store = options.store;
  }

  /**
   * Creates the object, or answers the one that this viewer created with the same key before. Without a key it is always created.
   * @throws Refusal CONFLICT when the key was used with another input, NOT_FOUND when its object is gone; what `create` throws, which leaves
   * the key unused.
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

  /** The key's row, if the store knows that there is one. */
  async #hinted(use: Use): Promise<Resolved | undefined> {
    const key = hintKey(use);
    const view = await this.#store.read([key], []).catch(() => undefined);
    return view?.entries.has(key) ? readKey(this.#db.read, use) : undefined;
  }

  /** Nobody waits for it, and nobody needs it. */
  #hint(use: Use): void {
    void this.#store.fill([{ key: hintKey(use), text: 'used', ttlMs: RETENTION_MS }]).catch(() => {});
  }
}

function useOf({
  by,
  operation,
  input,
}: Pick<Creation<string, unknown>, 'by' | 'operation' | 'input'>): Use | undefined {
  const { idempotencyKey, ...rest } = input;
  if (idempotencyKey === undefined || idempotencyKey === null) return undefined;
  // In creating `null` means absent. What is absent is left out, so that an input of a later build with more fields is the same.
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return { userId: by.viewerId, operation, key: idempotencyKey, digest: sha256(canonical(given)) };
}

/** Among the cache's entries, where no name of a source has a `#`. The key is the client's: of any length, so a digest names it. */
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
 * The key's row: ours, or the one that was there. DO UPDATE, not DO NOTHING: only that waits for another's transaction, answers its row,
 * and keeps it from being trimmed meanwhile, in one statement.
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

/** What was created with the key. @throws Refusal */
async function found<P extends string, Row>(
  db: Executor,
  { prefix, find }: Creation<P, Row>,
  use: Use,
  { digest, createdId }: Resolved,
): Promise<Row> {
  if (digest !== use.digest) {
    throw new Refusal(UserErrorCode.CONFLICT, 'this key was used with another input', PATH);
  }
  const row = await find(db, fromUuid(prefix, createdId));
  if (row === undefined) {
    throw new Refusal(UserErrorCode.NOT_FOUND, `the ${prefix} that was created with this key is gone`, PATH);
  }
  return row;
}

/** With each key that is new: the oldest, if they are old enough. Those that another transaction is at are its own to trim. */
async function trim(tx: Transaction): Promise<void> {
  await tx.execute(sql`
    delete from ${idempotencyKeys} where ctid = any(array(
      select ctid from ${idempotencyKeys}
      where ${idempotencyKeys.createdAt} < now() - make_interval(secs => ${RETENTION_MS / 1000})
      order by ${idempotencyKeys.createdAt} limit ${MAX_ROWS_PER_TRIM} for update skip locked))`);
}
