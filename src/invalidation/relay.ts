/**
 * The relay: four times a second some process brings the outbox into the store and renews the trust lease. It repairs what
 * a crash, an unreachable Redis or a write from outside of the API left behind, and by the lease it bounds for how long anything
 * could have been wrong. Any number of processes run it; the position in the store decides between them.
 */
import type { Sql } from 'postgres';
import { type Applied, LEASE_MS, MAX_RELEASED_KNOWN, randomToken, type Store } from '../cache/index.js';
import type { Log } from '../log.js';
import { type Clock, MINUTE, SECOND, systemClock } from '../time.js';
import { freshTransactionId, readOutbox, trimOutbox } from './outbox.js';

const INTERVAL_MS = 250;
/** Of the interval: processes that started together shall not tick together. */
const JITTER = 0.2;
/** A lease renewed more recently than this is left alone: another process has just ticked. */
const JUST_RENEWED_MS = 0.8 * INTERVAL_MS;
const TRIM_EVERY_MS = MINUTE;
const TICK_DEADLINE_MS = 5 * SECOND;
/** A backlog is caught up at once, but never in a loop that leaves nothing for others. */
const MAX_TICKS_IN_A_ROW = 100;

/** How a tick ended: what the store said, or that it was not needed. */
export type TickResult = Applied | 'recent';

export class Relay {
  readonly #store: Store;
  readonly #connect: () => Sql;
  /** Made when a tick needs it; dropped when it does not answer, and at the end. */
  #sql: Sql | undefined;
  readonly #log: Log;
  readonly #clock: Clock;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = true;
  #failing = false;
  #trimAtMs = 0;

  /** `connect`: to a client of the relay's own, on the primary. */
  constructor(options: { store: Store; connect: () => Sql; log: Log; clock?: Clock }) {
    this.#store = options.store;
    this.#connect = options.connect;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
  }

  /** Ticks until `stop`. The first tick is awaited, so that a started process may already serve from its cache. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
    await this.#drop(1);
  }

  async #drop(timeoutS: number): Promise<void> {
    const sql = this.#sql;
    this.#sql = undefined;
    await sql?.end({ timeout: timeoutS });
  }

  async #run(): Promise<void> {
    this.#running = this.#tickUntilCaughtUp();
    await this.#running;
    if (this.#stopped) return;
    const delayMs = INTERVAL_MS * (1 - JITTER / 2 + JITTER * Math.random());
    this.#timer = setTimeout(() => void this.#run(), delayMs);
  }

  async #tickUntilCaughtUp(): Promise<void> {
    try {
      let more = true;
      for (let ticks = 0; more && ticks < MAX_TICKS_IN_A_ROW && !this.#stopped; ticks++) {
        ({ more } = await this.#withinDeadline(this.tick()));
      }
      if (this.#failing) this.#log.info('the relay works again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        this.#log.warn({ err: error }, 'the relay cannot tick: after 2 s nothing is served from the cache');
      this.#failing = true;
    }
  }

  /** A Postgres that holds connections open and says nothing would stop the relay for ever, also when it is back. */
  async #withinDeadline<T>(tick: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        void this.#drop(0);
        reject(new Error('Postgres did not answer'));
      }, TICK_DEADLINE_MS);
    });
    try {
      return await Promise.race([tick, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** TICK, once. `more`: rows are left, tick again at once. @throws when Redis or Postgres cannot be reached. */
  async tick(): Promise<{ result: TickResult; more: boolean }> {
    this.#sql ??= this.#connect();
    const sql = this.#sql;
    const head = await this.#store.head();
    if (head.leaseLeftMs > LEASE_MS - JUST_RENEWED_MS) return { result: 'recent', more: false };
    const barrier = head.leaseLeftMs === 0 ? await freshTransactionId(sql) : undefined;
    const outbox = await readOutbox(sql, head.position?.xid, head.released);

    const known = head.position;
    // Without a position, or with one that this database's history or outbox no longer reaches: all entries are void.
    const lost = known === undefined || outbox.horizon < known.xid || known.xid < outbox.trimmedBelow;
    if (lost && known !== undefined) this.#log.warn({ position: known, outbox: outbox.horizon }, 'purging the cache');
    const result = await this.#store.apply({
      head,
      next: { xid: outbox.horizon, purge: lost ? randomToken() : known.purge },
      rows: lost ? [] : outbox.rows,
      barrier,
      // Only a position tells one data set from another: without one it may have been emptied again since `head`, and
      // with it fences of transactions younger than our barrier. So this tick names it, and the next may grant.
      grant: known !== undefined && (lost || !outbox.cut),
    });
    if (result === 'applied') await this.#trim(sql, outbox.horizon);
    // With more released than `head` can name, the next tick would read the same rows again.
    const progress = head.released.length < MAX_RELEASED_KNOWN;
    return { result, more: result === 'applied' && (known === undefined || (outbox.cut && !lost && progress)) };
  }

  async #trim(sql: Sql, applied: bigint): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#trimAtMs) return;
    this.#trimAtMs = nowMs + TRIM_EVERY_MS;
    await trimOutbox(sql, applied);
  }
}
