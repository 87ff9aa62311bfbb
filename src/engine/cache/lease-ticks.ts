/** What the relay and the standalone lease have in common: when they tick, and which groups need it. */
import { type Head, LEASE_MS, LOG_GROUP, type Store } from './store.js';

export const TICK_INTERVAL_MS = 250;
/** Fraction of the interval. It keeps processes that started together from ticking together. */
const JITTER = 0.2;
/** A lease renewed more recently than this is left alone: another process has just ticked. */
const JUST_RENEWED_MS = 0.8 * TICK_INTERVAL_MS;

/** A group as HEAD found it. */
export interface GroupHead {
  readonly group: number;
  readonly head: Head;
}

/** From the end of a tick to the next one. */
export function nextTickMs(): number {
  return TICK_INTERVAL_MS * (1 - JITTER / 2 + JITTER * Math.random());
}

/** The groups that were reached and accept writes. @throws the reason when there is none */
export async function readHeads(store: Pick<Store, 'groups' | 'head'>): Promise<readonly GroupHead[]> {
  const groups = Array.from({ length: store.groups }, (_, group) => group);
  const heads = await Promise.allSettled(groups.map((group) => store.head(group)));
  const reached = groups.flatMap((group) => {
    const head = heads[group];
    return head?.status === 'fulfilled' && head.value.refusal === undefined ? [{ group, head: head.value }] : [];
  });
  if (reached.length > 0) return reached;
  const home = heads[LOG_GROUP] as PromiseSettledResult<Head>;
  throw home.status === 'rejected' ? home.reason : new Error(`Redis refuses writes: ${home.value.refusal}`);
}

export function isDue({ head }: GroupHead): boolean {
  return head.leaseLeftMs <= LEASE_MS - JUST_RENEWED_MS;
}

/** The log group is renewed together with all others, or not at all: its lease names theirs (see `Tick.others`). */
export function withLogGroup(
  due: readonly GroupHead[],
  reached: readonly GroupHead[],
  groups: number,
): readonly GroupHead[] {
  if (!due.some(({ group }) => group === LOG_GROUP)) return due;
  return reached.length === groups ? reached : due.filter(({ group }) => group !== LOG_GROUP);
}
