/**
 * Which database this is, in which state of its history: a random id in its table `cache_identity`, together with the place where the id
 * was given. Where the row is found elsewhere, it was brought there by a restored dump, a template, a copy of the files or a promotion,
 * and the database gets an id of its own before anything is cached for it.
 */
import type { Sql } from 'postgres';
import { LEASE_MS, randomToken } from '../cache/index.js';
import { type Clock, systemClock } from '../time.js';

/** Of the random token: databases that meet in one Redis are few. */
const ID_CHARS = 12;
/** Another process may rename at the same time; a third attempt means that something undoes it. */
const MAX_ATTEMPTS = 3;
/** Ids that this process has left are remembered, in case one comes back. */
const MAX_LEFT = 100;

/** What a writer names whose database has no id: it equals none. */
export const UNKNOWN_DATABASE = '?';

export interface DatabaseIdentity {
  readonly id: string;
  /** The id of the database that this one was made from. */
  readonly previous: string | undefined;
}

/** The row, and whether it is where it was written. */
export interface FoundIdentity extends DatabaseIdentity {
  /** Where and when the id was given; it is this database's own only where that is also `actual`. */
  readonly place: string;
  readonly actual: string;
}

/**
 * Where a row of `cache_identity` (alias `i`) is, in SQL. Each part changes where another would not:
 * - the postmaster's start: copies of files, point-in-time recovery, a promoted standby, a crash (ids may be given again after it);
 * - the database's oid: a template copy, DROP and CREATE, databases that exchange their names;
 * - the row's own table and transaction: a dump restored into this database;
 * - the triggers that name what is written, each with the transaction that made or altered it: one table restored, or loaded with its
 *   triggers disabled.
 * All of it may be read by every role, and stays the same under VACUUM FULL, REINDEX and freezing.
 */
function placeSql(transaction: string): string {
  return `concat_ws('/',
    extract(epoch from pg_postmaster_start_time()),
    (select oid from pg_database where datname = current_database()),
    i.tableoid, ${transaction},
    (
      select md5(string_agg(concat_ws(':', t.oid, t.tgrelid, t.tgenabled, t.xmin), ',' order by t.oid))
      from pg_trigger t join pg_proc p on p.oid = t.tgfoid
      where p.proname = 'cache_name_rows'
    ))`;
}

/** The row as JSON, for a statement that reads more. */
export const IDENTITY_SQL = `(
  select json_build_object('id', i.id, 'previous', i.previous, 'place', i.place, 'actual', ${placeSql('i.xmin')})
  from cache_identity i
)`;

/** The id alone: what a writer names beside its transaction id. A renamed database's is another than the one its writers read before. */
export const DATABASE_ID_SQL = '(select id from cache_identity)';

/** What `IDENTITY_SQL` gave; undefined when the database has to be named first. */
export function ownIdentity(found: FoundIdentity | null): DatabaseIdentity | undefined {
  if (found === null || found.place !== found.actual) return undefined;
  return { id: found.id, previous: found.previous ?? undefined };
}

/**
 * Asks `read` until the database has an id of its own, and gives it one when it has none.
 * @throws when another is given again and again
 */
export async function withIdentity<T extends { found: FoundIdentity | null }>(
  client: Sql,
  read: () => Promise<T>,
): Promise<T & { identity: DatabaseIdentity }> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const answer = await read();
    const identity = ownIdentity(answer.found);
    if (identity !== undefined) return { ...answer, identity };
    await rename(client, answer.found);
  }
  throw new Error('the database cannot be named: its row in cache_identity is never where it was written');
}

/** The identity alone, for a tick that needs nothing else of Postgres. */
export async function readIdentity(client: Sql): Promise<DatabaseIdentity> {
  const { identity } = await withIdentity(client, async () => {
    const [row] = await client<{ found: FoundIdentity | null; standby: boolean }[]>`
      select ${client.unsafe(IDENTITY_SQL)} as found, pg_is_in_recovery() as standby`;
    if (row === undefined || row.standby) throw new StandbyError();
    return row;
  });
  return identity;
}

export class StandbyError extends Error {
  override readonly name = 'StandbyError';

  constructor() {
    super('the relay needs the primary: this Postgres is a standby');
  }
}

/** Of two who do this at once, one finds nothing left to do. */
async function rename(client: Sql, found: FoundIdentity | null): Promise<void> {
  if (found === null) {
    await client`insert into cache_identity (id, place) values ('', '') on conflict do nothing`;
    return;
  }
  await client`
    update cache_identity i set
      id = ${randomToken().slice(0, ID_CHARS)},
      previous = nullif(id, ''),
      place = ${client.unsafe(placeSql('pg_current_xact_id()::xid'))}
    where id = ${found.id} and place = ${found.place}`;
}

/** What a process knows of the database behind its address. */
export class KnownDatabase {
  readonly #clock: Clock;
  readonly #left = new Set<string>();
  #latest: DatabaseIdentity | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** As last told, however long ago. */
  get latest(): DatabaseIdentity | undefined {
    return this.#latest;
  }

  /** The id, as long as nothing but a database of that id can have been behind the address LEASE_MS ago: readers believe its leases. */
  get current(): string | undefined {
    return this.sinceMs < LEASE_MS ? this.#latest?.id : undefined;
  }

  /** How long ago the question was sent whose answer is the latest, ms. */
  get sinceMs(): number {
    return this.#clock.monotonicMs() - this.#askedAtMs;
  }

  /**
   * Takes in an answer to a question that was sent at `askedAtMs`. `returned`: another database was behind the address meanwhile, so what
   * this process stored for this one then may be of the other.
   */
  told(identity: DatabaseIdentity, askedAtMs: number): 'first' | 'same' | 'other' | 'returned' {
    const before = this.#latest;
    this.#latest = identity;
    this.#askedAtMs = askedAtMs;
    if (before === undefined) return 'first';
    if (before.id === identity.id) return 'same';
    if (this.#left.size >= MAX_LEFT) this.#left.clear();
    this.#left.add(before.id);
    return this.#left.has(identity.id) ? 'returned' : 'other';
  }
}
