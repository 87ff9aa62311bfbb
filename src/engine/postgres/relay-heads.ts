/** Whose a group is, and what of the outbox the groups still need, from what HEAD found. */
import { databaseOf, type GroupHead, type Head } from '../cache/index.js';
import type { DatabaseIdentity } from './database-identity.js';

/** Whether a group's position is one of this database. */
export function isOf({ position }: Head, database: DatabaseIdentity): boolean {
  return position !== undefined && databaseOf(position.purge) === database.id;
}

/** From where the outbox has to be read; undefined when no group has a position. */
export function lowestPosition(due: readonly GroupHead[]): bigint | undefined {
  let lowest: bigint | undefined;
  for (const { head } of due) {
    const xid = head.position?.xid;
    if (xid !== undefined && (lowest === undefined || xid < lowest)) lowest = xid;
  }
  return lowest;
}

/** Released in every group that would otherwise have to apply it. */
export function appliedByAll(due: readonly GroupHead[]): string[] {
  const known = due.flatMap(({ head }) =>
    head.position === undefined ? [] : [{ below: head.position.xid, released: new Set(head.released) }],
  );
  if (known.length === 1) return [...(known[0]?.released ?? [])];
  const all = new Set(known.flatMap(({ released }) => [...released]));
  return [...all].filter((xid) => known.every(({ below, released }) => released.has(xid) || BigInt(xid) < below));
}
