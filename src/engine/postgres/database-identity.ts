/**
 * The identity of a database in one state of its history: a random id in its table `cache_identity`, and the origin of
 * that id (server, database, transaction). A restored dump, a template copy, a copy of the files and a promoted standby
 * carry the row along; its origin then differs from the actual one, and the database gets a new id before anything is
 * cached for it.
 */
import type { Sql } from 'postgres';
import { LEASE_MS, randomToken } from '../cache/index.js';
import { type Clock, systemClock } from '../cache/time.js';

/** 72 random bits: few databases ever share one Redis. */
const ID_CHARS = 12;
/** Another process may rename at the same time; a third failure means that something keeps undoing it. */
const MAX_ATTEMPTS = 3;
/** How many former ids a process remembers, to notice one that comes back. */
const MAX_LEFT = 100;

/** The database of a writer that found no id: differs from every id. */
export const UNKNOWN_DATABASE = '?';

export interface DatabaseIdentity {
  readonly id: string;
  /** The id before this one: that of the database this one was copied from, or of an earlier state. */
  readonly previous: string | undefined;
}

/** The row, with the origin it should have. */
export interface FoundIdentity extends DatabaseIdentity {
  /** The origin that the row says. The id is this database's own only if it equals `actual`. */
  readonly origin: string;
  readonly actual: string;
}

/**
 * The origin of a row of `cache_identity` (alias `i`), in SQL. Each part notices what the others do not:
 * - the start of the server: copies of files, point-in-time recovery, a promoted standby, a crash (after which Postgres
 *   may assign ids twice);
 * - the oid of the database: a template copy, DROP and CREATE, exchanged names;
 * - the table and transaction of the row: a dump restored into this database;
 * - the cache's triggers and the transactions that made or altered them: a single restored table, a load with triggers
 *   disabled. Every role may read all of it. VACUUM FULL, REINDEX and freezing change none of it.
 */
function originSql(transaction: string): string {
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

/** The row as JSON: a subselect for statements that read more. */
export const IDENTITY_SQL = `(
  select json_build_object('id', i.id, 'previous', i.previous, 'origin', i.origin, 'actual', ${originSql('i.xmin')})
  from public.cache_identity i
)`;

/** The id alone: a writer reads it together with its transaction id. */
export const DATABASE_ID_SQL = '(select id from public.cache_identity)';

/** The identity in a result of `IDENTITY_SQL`; undefined when the database needs a new id first. */
export function ownIdentity(found: FoundIdentity | null): DatabaseIdentity | undefined {
  if (found === null || found.origin !== found.actual) return undefined;
  return { id: found.id, previous: found.previous ?? undefined };
}

/**
 * Runs `read`, and gives the database a new id and reads again when the one it has is not its own.
 * @throws when the id is never its own
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
  throw new Error(
    'the row in cache_identity never has the origin that was just written: the database cannot be identified',
  );
}

/** The identity alone, for a tick that reads nothing else. @throws StandbyError */
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

/** Of two concurrent calls, only one has an effect. */
async function rename(client: Sql, found: FoundIdentity | null): Promise<void> {
  if (found === null) {
    await client`insert into public.cache_identity (id, origin) values ('', '') on conflict do nothing`;
    return;
  }
  await client`
    update public.cache_identity i set
      id = ${randomToken().slice(0, ID_CHARS)},
      previous = nullif(id, ''),
      origin = ${client.unsafe(originSql('pg_current_xact_id()::xid'))}
    where id = ${found.id} and origin = ${found.origin}`;
}

/** The identity of the database behind a process's address, as its relay last read it. */
export class KnownDatabase {
  readonly #clock: Clock;
  readonly #left = new Set<string>();
  #latest: DatabaseIdentity | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #toBePurged = false;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** The last one read, however long ago. */
  get latest(): DatabaseIdentity | undefined {
    return this.#latest;
  }

  /**
   * The id, for LEASE_MS from when it was asked for; undefined while `toBePurged`. Readers use leases of this database
   * only.
   */
  get current(): string | undefined {
    return this.sinceMs < LEASE_MS && !this.#toBePurged ? this.#latest?.id : undefined;
  }

  /** An earlier database is back, and what was stored for it has not been voided yet. */
  get toBePurged(): boolean {
    return this.#toBePurged;
  }

  /** All that was stored before is void. */
  purged(): void {
    this.#toBePurged = false;
  }

  /** The time since `latest` was asked for, ms. */
  get sinceMs(): number {
    return this.#clock.monotonicMs() - this.#askedAtMs;
  }

  /**
   * Records an identity that was asked for at `askedAtMs`. `returned`: an earlier database is back. What this process
   * stored for it while another was behind the address may be of the other.
   */
  record(identity: DatabaseIdentity, askedAtMs: number): 'first' | 'same' | 'other' | 'returned' {
    const before = this.#latest;
    this.#latest = identity;
    this.#askedAtMs = askedAtMs;
    if (before === undefined) return 'first';
    if (before.id === identity.id) return 'same';
    if (this.#left.size >= MAX_LEFT) this.#left.clear();
    this.#left.add(before.id);
    if (!this.#left.has(identity.id)) return 'other';
    this.#toBePurged = true;
    return 'returned';
  }
}
