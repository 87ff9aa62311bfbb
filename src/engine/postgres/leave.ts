/**
 * Leaves a pool of connections. Its statements may end within a few seconds; the users of those that do not see them
 * fail.
 */
import type { Sql } from 'postgres';

const LEAVE_S = 5;

export function leave(pool: Sql): void {
  pool.end({ timeout: LEAVE_S }).catch(() => {});
}
