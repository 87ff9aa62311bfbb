/** The log cursor: the state of process memory when a log read was sent, and the leases that it names. */
import type { Lease } from './entry.js';
import { LOG_GROUP, type LogMark } from './store.js';

/** A log read that has been sent: the state of memory at that moment. */
export interface LogCursor {
  readonly log: LogMark | 'tail';
  readonly number: number;
  readonly identity: string | undefined;
  /** By group, the lease generations that the identity names. */
  readonly generations: readonly string[];
}

/**
 * Names the lease that memory was filled under. Another generation of any group's lease is another identity: all copies
 * are dropped.
 */
export function identityOf({ generation, purge, generations = '' }: Lease): string {
  return `${generation}:${purge}:${generations}`;
}

/**
 * Whether memory may keep what the READ with this cursor found in these groups: each was leased then under the
 * generation that the log group's lease names. The log group's own lease is part of the identity that `put` compares.
 */
export function leasedAsNamed(
  { generations }: LogCursor,
  groups: readonly number[],
  leases: readonly (Lease | undefined)[],
): boolean {
  for (const group of groups) {
    if (group === LOG_GROUP) continue;
    const generation = leases[group]?.generation;
    if (generation === undefined || generation !== generations[group]) return false;
  }
  return true;
}
