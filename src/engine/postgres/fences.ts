/**
 * Fences left behind. A writer that died, or never learnt its COMMIT's outcome, leaves its fence; readers that keep
 * meeting it report it here, and Postgres is asked whether the transaction is over. Time alone never removes a fence.
 */
import type { Sql } from 'postgres';
import type { Log } from '../cache/index.js';
import { fenceIds, type Tag, type WriteProtocol } from '../cache/index.js';
import { type Clock, systemClock } from '../cache/time.js';
import { finishedOf } from './outbox.js';

/**
 * A fence seen unchanged for this long is looked into: longer than a commit takes, much shorter than anyone would
 * notice.
 */
const SUSPECT_AFTER_MS = 250;
/** Older than this, and its writer is slow or dead: reported, so that an operator can look. */
const OLD_AFTER_MS = 1000;
const MAX_WATCHED = 10_000;

export interface FenceEvents {
  /** A fence is older than a second. Called once for each that this process meets. */
  old?(tag: Tag, fence: string): void;
}

interface Watched {
  readonly fence: string;
  readonly firstMs: number;
  /** When Postgres was last asked about it, or it was first seen. */
  sinceMs: number;
  reported: boolean;
}

export class FenceWatch {
  readonly #watched = new Map<Tag, Watched>();
  readonly #store: WriteProtocol;
  readonly #sql: () => Sql;
  readonly #log: Log;
  readonly #events: FenceEvents;
  readonly #clock: Clock;

  /** `sql`: the client to ask by. It is another one once another database is behind the address. */
  constructor(options: { store: WriteProtocol; sql: () => Sql; log: Log; events?: FenceEvents; clock?: Clock }) {
    this.#store = options.store;
    this.#sql = options.sql;
    this.#log = options.log;
    this.#events = options.events ?? {};
    this.#clock = options.clock ?? systemClock;
  }

  /** NOTE_FENCE: called by every read that meets a fence. */
  seen(tag: Tag, fence: string): void {
    const nowMs = this.#clock.monotonicMs();
    const watched = this.#watched.get(tag);
    if (watched?.fence !== fence) {
      // A full watch forgets everything: fences that remain are met and noted again.
      if (this.#watched.size >= MAX_WATCHED) this.#watched.clear();
      this.#watched.set(tag, { fence, firstMs: nowMs, sinceMs: nowMs, reported: false });
      return;
    }
    if (!watched.reported && nowMs - watched.firstMs > OLD_AFTER_MS) {
      watched.reported = true;
      this.#events.old?.(tag, fence);
    }
    if (nowMs - watched.sinceMs > SUSPECT_AFTER_MS) {
      watched.sinceMs = nowMs;
      void this.resolve(fenceIds(fence), [tag]);
    }
  }

  /**
   * RESOLVE: releases those transactions that Postgres says are over. One still in progress keeps its fence, however
   * old.
   */
  async resolve(xids: readonly string[], tags: readonly Tag[]): Promise<void> {
    try {
      const { finished, database } = await finishedOf(this.#sql(), xids);
      if (finished.length > 0) await this.#store.releaseFinished(finished, tags, { database });
    } catch (error) {
      this.#log.warn(
        { err: error, xids },
        'a fence could not be resolved now; the next reader who meets it tries again',
      );
    }
  }
}
