/**
 * What is stored for a key, and what it is worth now. An entry is text:
 *
 *     <purge>,…|<token>,<token>,…|<loadedAtMs>|<ttlMs>|<form>|<value>
 *
 * The tokens are those that the key's tags had before the source was read, in the order of its tags. All that validity
 * depends on stands in front, so an entry is judged by one comparison of text and parsed only when it is a hit.
 */
import { decode, encode, type Form } from './codec.js';
import type { Tag } from './tag.js';

/** Part of every key: a build with another form neither reads nor destroys the entries of this one. */
export const ENTRY_FORMAT = 1;

/** What a group's trust lease says: hits and fills are allowed now, under this purge token. */
export interface Lease {
  readonly generation: string;
  readonly purge: string;
  /** Of HOME in a Cluster: see `generationsText`. Absent: it names none. */
  readonly generations?: string;
}

export function leaseOf(generation: string, purge: string, generations = ''): Lease {
  return generations === '' ? { generation, purge } : { generation, purge, generations };
}

/**
 * What HOME's lease names of the other groups: by group, the generation of the lease under which the tick that granted or renewed HOME's
 * applied there, or nothing. HOME's own place is empty. Empty for a store of one group.
 */
export function generationsText(generations: readonly (string | undefined)[]): string {
  return generations.length <= 1 ? '' : generations.map((generation) => generation ?? '').join(',');
}

/** An entry's front as it stands in Redis, and what the engine reads from it. */
export interface Entry {
  readonly value: unknown;
  readonly ageMs: number;
  readonly ttlMs: number;
  readonly chars: number;
}

/** The state of a key: a pure function of the leases, its entry and the tokens of its tags, as one read saw them. */
export type State =
  | { readonly kind: 'fresh'; readonly entry: Entry; readonly stamps: string }
  /** As fresh, but older than its time to live: nothing but the policy's `staleMs` could allow to serve it. */
  | { readonly kind: 'stale'; readonly entry: Entry; readonly stamps: string }
  /** Freshness cannot be proved now: load, and store nothing. */
  | { readonly kind: 'unleased' }
  | { readonly kind: 'fenced' }
  /** Absent, invalid or unreadable: load, and store under these tokens (`undefined`: the tag has none yet). */
  | {
      readonly kind: 'missing';
      readonly cause: 'absent' | 'invalid' | 'damaged';
      readonly tokens: readonly (string | undefined)[];
    };

export function isFence(token: string): boolean {
  return token.startsWith('!');
}

/** The transaction ids in a fence `!<xid>,<xid>,`. */
export function fenceIds(fence: string): string[] {
  return fence.slice(1).split(',').filter(Boolean);
}

export function stateOf(seen: {
  /** By `purgeOf`; undefined when a group has no lease. */
  purge: string | undefined;
  text: string | undefined;
  tags: readonly Tag[];
  tokens: readonly (string | undefined)[];
  nowMs: number;
}): State {
  const { purge, text, tags, tokens } = seen;
  if (purge === undefined) return { kind: 'unleased' };
  let complete = true;
  for (let i = 0; i < tags.length; i++) {
    const token = tokens[i];
    if (token === undefined) complete = false;
    else if (isFence(token)) return { kind: 'fenced' };
  }
  if (text === undefined) return { kind: 'missing', cause: 'absent', tokens };
  // A missing token is never equal to anything: the entry's tag was lost, and with it the proof.
  const stamps = complete ? stampText(purge, tokens as readonly string[]) : undefined;
  if (stamps === undefined || !text.startsWith(stamps)) return { kind: 'missing', cause: 'invalid', tokens };
  const entry = readEntry(text, stamps, seen.nowMs);
  if (entry === undefined) return { kind: 'missing', cause: 'damaged', tokens };
  return { kind: entry.ageMs < entry.ttlMs ? 'fresh' : 'stale', entry, stamps };
}

/** The purge tokens an entry hangs on: those of the groups of its tags, or of its own when it has none. */
export function purgeOf(leases: readonly (Lease | undefined)[], groups: readonly number[]): string | undefined {
  const purges: string[] = [];
  for (const group of groups) {
    const lease = leases[group];
    if (lease === undefined) return undefined;
    purges.push(lease.purge);
  }
  return purges.join(',');
}

/** The front of an entry, and the name under which equal loads are joined. */
export function stampText(purge: string, tokens: readonly string[]): string {
  return `${purge}|${tokens.join(',')}|`;
}

/** @throws CacheError UNENCODABLE */
export function entryText(entry: { stamps: string; value: unknown; loadedAtMs: number; ttlMs: number }): string {
  const { text, form } = encode(entry.value);
  return `${entry.stamps}${entry.loadedAtMs}|${entry.ttlMs}|${form}|${text}`;
}

/** Undefined when it is damaged or foreign: a miss, like any entry that is not ours. */
function readEntry(text: string, stamps: string, nowMs: number): Entry | undefined {
  const afterLoaded = text.indexOf('|', stamps.length);
  const afterTtl = text.indexOf('|', afterLoaded + 1);
  const loadedAtMs = Number(text.slice(stamps.length, afterLoaded));
  const ttlMs = Number(text.slice(afterLoaded + 1, afterTtl));
  if (!Number.isFinite(loadedAtMs) || !Number.isFinite(ttlMs)) return undefined;
  try {
    const value = decode({ text: text.slice(afterTtl + 3), form: text[afterTtl + 1] as Form });
    return { value, ageMs: Math.max(0, nowMs - loadedAtMs), ttlMs, chars: text.length };
  } catch {
    return undefined;
  }
}
