/** What HEAD finds in the groups of a store, and what of the outbox they still need. */
import { databaseOf, type Head, LOG_GROUP, type Store } from '../cache/index.js';
import type { DatabaseIdentity } from './database-identity.js';

/** A group as HEAD found it. */
export interface Due {
  readonly group: number;
  readonly head: Head;
}

/** The groups that were reached and take writes. @throws why none was */
export async function readHeads(store: Store): Promise<readonly Due[]> {
  const groups = Array.from({ length: store.groups }, (_, group) => group);
  const heads = await Promise.allSettled(groups.map((group) => store.head(group)));
  const reached = groups.flatMap((group) => {
    const head = heads[group];
    return head?.status === 'fulfilled' && head.value.refusal === undefined ? [{ group, head: head.value }] : [];
  });
  if (reached.length === 0) throw whyNone(heads[LOG_GROUP] as PromiseSettledResult<Head>);
  return reached;
}

/** Whether a group's position is one of this database. */
export function isOf({ position }: Head, database: DatabaseIdentity): boolean {
  return position !== undefined && databaseOf(position.purge) === database.id;
}

function whyNone(home: PromiseSettledResult<Head>): unknown {
  return home.status === 'rejected' ? home.reason : new Error(`Redis refuses writes: ${home.value.refusal}`);
}

/** From where the outbox has to be read; undefined when no group has a position. */
export function lowestPosition(due: readonly Due[]): bigint | undefined {
  let lowest: bigint | undefined;
  for (const { head } of due) {
    const xid = head.position?.xid;
    if (xid !== undefined && (lowest === undefined || xid < lowest)) lowest = xid;
  }
  return lowest;
}

/** Released in every group that would otherwise have to apply it. */
export function appliedByAll(due: readonly Due[]): string[] {
  const known = due.flatMap(({ head }) =>
    head.position === undefined ? [] : [{ below: head.position.xid, released: new Set(head.released) }],
  );
  if (known.length === 1) return [...(known[0]?.released ?? [])];
  const all = new Set(known.flatMap(({ released }) => [...released]));
  return [...all].filter((xid) => known.every(({ below, released }) => released.has(xid) || BigInt(xid) < below));
}
