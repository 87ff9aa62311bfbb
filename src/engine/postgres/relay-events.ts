/** What the relay reports. */
import type { Applied, GroupHead } from '../cache/index.js';

/**
 * How a tick ended: the store's answer; `recent`: not needed; `foreign`: the keys belong to another database; `other`:
 * the database behind the address has changed.
 */
export type TickResult = Applied | 'recent' | 'foreign' | 'other';

export interface Ticked {
  readonly result: TickResult;
  readonly late: boolean;
  readonly unleasedMs: number;
  readonly heads: readonly GroupHead[];
  /** Of a tick that read the outbox: transaction ids that are over in Postgres and did not fit into this tick. */
  readonly behind?: bigint | undefined;
}

export interface RelayEvents {
  /**
   * After each tick that looked: how long the log group was without a lease since the tick before, and whether the
   * lease was low; the groups as it found them.
   */
  ticked?(tick: Ticked): void;
  /** A group's lease was granted although a transaction older than the barrier still writes. */
  forced?(group: number): void;
  /** All entries of a group were voided. */
  purged?(group: number): void;
  /** The database behind the address has changed: connections may still lead to the one before. */
  moved?(): void;
}
