/**
 * Waits for a Postgres that is away. All waiters share one probe, so an outage costs one statement every quarter of a
 * second, however many subscriptions wait.
 */
import { sql } from 'drizzle-orm';
import { type Clock, MINUTE, systemClock } from '../cache/time.js';
import { isUnavailable } from './connection-errors.js';
import type { Database } from './executor.js';

const PROBE_EVERY_MS = 250;
/** The longest wait. */
const MAX_WAIT_MS = 2 * MINUTE;

export interface AvailabilityOptions {
  /** Any statement. It rejects while Postgres is away. */
  readonly probe: () => Promise<unknown>;
  readonly clock?: Clock;
  readonly maxWaitMs?: number;
}

/** Probes the read pool. */
export function availabilityOf(db: Database): Availability {
  return new Availability({ probe: () => db.read.execute(sql`select 1`) });
}

export class Availability {
  readonly #probe: () => Promise<unknown>;
  readonly #clock: Clock;
  readonly #maxWaitMs: number;
  #probing: Promise<void> | undefined;

  constructor({ probe, clock = systemClock, maxWaitMs = MAX_WAIT_MS }: AvailabilityOptions) {
    this.#probe = probe;
    this.#clock = clock;
    this.#maxWaitMs = maxWaitMs;
  }

  /**
   * Runs `work`, which must only read, and again each time it fails because Postgres is away.
   * @throws what `work` fails with otherwise, when `signal` has aborted, or when Postgres stays away for longer than
   * the bound
   */
  async retrying<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const giveUpAtMs = this.#clock.monotonicMs() + this.#maxWaitMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const late = this.#clock.monotonicMs() >= giveUpAtMs;
        if (signal.aborted || late || !isUnavailable(error)) throw error;
        await this.#answers(signal, giveUpAtMs);
        if (signal.aborted) throw error;
      }
    }
  }

  /** Resolves when Postgres has answered, `signal` has aborted, or the bound has passed. */
  async #answers(signal: AbortSignal, giveUpAtMs: number): Promise<void> {
    while (!signal.aborted && this.#clock.monotonicMs() < giveUpAtMs) {
      this.#probing ??= this.#probeOnce().finally(() => {
        this.#probing = undefined;
      });
      if (
        await this.#probing.then(
          () => true,
          () => false,
        )
      )
        return;
    }
  }

  async #probeOnce(): Promise<void> {
    await this.#clock.sleep(PROBE_EVERY_MS);
    await this.#probe();
  }
}
