/** Leaves a pool of connections: what runs there may end, and its users see their own statements fail where it does not. */
import type { Sql } from 'postgres';

const LEAVE_S = 5;

export function leave(pool: Sql): void {
  pool.end({ timeout: LEAVE_S }).catch(() => {});
}
