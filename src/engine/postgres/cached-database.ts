/**
 * The cache of a database: everything between a store and a pool of writes, built in the order in which it depends on
 * each other.
 */
import type { Sql } from 'postgres';
import {
  CACHE_EVENTS,
  Cache,
  type CacheEvents,
  type CacheOptions,
  combineListeners,
  type Log,
  type Store,
} from '../cache/index.js';
import { KnownDatabase } from './database-identity.js';
import { type FenceEvents, FenceWatch } from './fences.js';
import type { Outbox } from './outbox.js';
import { Relay } from './relay.js';
import type { RelayEvents } from './relay-events.js';
import { type TransactionSettings, Transactor, type WriteDatabase } from './transactor.js';
import type { Writer } from './writer.js';

export interface CachedDatabaseOptions extends Omit<CacheOptions, 'store' | 'events'> {
  readonly store: Store;
  readonly db: WriteDatabase;
  /** For resolving fences. Not a connection of requests: its statements must fail fast. */
  readonly sql: () => Sql;
  /** For the relay: a connection of its own, on the primary. */
  readonly connectOutbox: () => Outbox;
  readonly log: Log;
  readonly events: CacheEvents & RelayEvents & FenceEvents;
  /** Whether the relay applies the outbox and renews the lease; if not, another process must. Default: yes. */
  readonly renews?: boolean;
  /** Settings of each transaction of a writer: see `Transactor`. Default: none. */
  readonly settingsOf?: (by: Writer) => TransactionSettings | undefined;
}

export function cacheDatabase({
  db,
  sql,
  connectOutbox,
  log,
  events,
  renews = true,
  settingsOf,
  ...options
}: CachedDatabaseOptions) {
  const { store } = options;
  const fences = new FenceWatch({ store, sql, log, events });
  const watch: CacheEvents = { fenceSeen: (tag, fence) => fences.seen(tag, fence) };
  const cache = new Cache({ ...options, events: combineListeners([events, watch], CACHE_EVENTS) });
  const transactor = new Transactor({ db, cache, fences, settingsOf });
  const database = new KnownDatabase();
  const relay = new Relay({ store, connect: connectOutbox, log, events, database, renews });
  store.bind(
    () => database.current,
    () => relay.owned,
  );
  return { cache, fences, transactor, relay };
}
