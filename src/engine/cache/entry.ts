/**
 * What is stored for a key, and how it is judged. An entry is text:
 *
 *     <purge>,…|<token>,<token>,…|<loadedAtMs>|<ttlMs>|<form>|<value>
 *
 * The tokens are those that the key's tags had before the source was read, in the order of its tags. Everything that
 * validity depends on comes first, so one text comparison judges an entry, and only hits are parsed.
 */
import { decode, encode, type Form } from './codec.js';
import type { OutcomeReason } from './events.js';
import type { Tag } from './tag.js';

/** A part of every key: builds with different formats neither read nor overwrite each other's entries. */
export const ENTRY_FORMAT = 1;

/** A group's lease: hits and fills are allowed now, under this purge token. */
export interface Lease {
  readonly generation: string;
  readonly purge: string;
  /** Only in the log group's lease of a Cluster: see `generationsText`. */
  readonly generations?: string;
}

export function leaseOf(generation: string, purge: string, generations = ''): Lease {
  return generations === '' ? { generation, purge } : { generation, purge, generations };
}

/**
 * The generations that the log group's lease names: by group, the generation of the lease that the APPLY of the same
 * tick granted or renewed there, or nothing. The log group's own place is empty. Empty for a store of one group.
 */
export function generationsText(generations: readonly (string | undefined)[]): string {
  return generations.length <= 1 ? '' : generations.map((generation) => generation ?? '').join(',');
}

/** A decoded entry. */
export interface Entry {
  readonly value: unknown;
  readonly ageMs: number;
  readonly ttlMs: number;
  readonly chars: number;
}

/** The state of a key: a pure function of the leases, its entry and the tokens of its tags, as one read saw them. */
export type State =
  | { readonly kind: 'fresh'; readonly entry: Entry; readonly stamps: string }
  /** Fresh but for its age, which exceeds its time to live: served only if the policy's `staleMs` allows it. */
  | { readonly kind: 'stale'; readonly entry: Entry; readonly stamps: string }
  /** Freshness cannot be proved now: load, and store nothing. */
  | { readonly kind: 'unleased' }
  | { readonly kind: 'fenced' }
  /** Absent, invalid or unreadable: load, and store under these tokens. `undefined`: the tag has none. */
  | {
      readonly kind: 'missing';
      readonly cause: 'absent' | 'invalid' | 'damaged';
      readonly tokens: readonly (string | undefined)[];
    };

export function isFence(token: string): boolean {
  return token.startsWith('!');
}

/** The transaction ids of a fence: `!,<xid>,<xid>,`, or `!<xid>,<xid>,` once one of its transactions has left it. */
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
  // A missing token equals nothing: the proof is lost with it.
  const stamps = complete ? stampText(purge, tokens as readonly string[]) : undefined;
  if (stamps === undefined || !text.startsWith(stamps)) return { kind: 'missing', cause: 'invalid', tokens };
  const entry = readEntry(text, stamps, seen.nowMs);
  if (entry === undefined) return { kind: 'missing', cause: 'damaged', tokens };
  return { kind: entry.ageMs < entry.ttlMs ? 'fresh' : 'stale', entry, stamps };
}

/** The purge tokens that an entry carries: those of the groups of its tags, or of its own group when it has none. */
export function purgeOf(leases: readonly (Lease | undefined)[], groups: readonly number[]): string | undefined {
  const purges: string[] = [];
  for (const group of groups) {
    const lease = leases[group];
    if (lease === undefined) return undefined;
    purges.push(lease.purge);
  }
  return purges.join(',');
}

/**
 * The stamps under which a miss may be stored: tokens read before its load, none of them a fence, and a lease. `purge`:
 * by `purgeOf`.
 */
export function stampsOf(
  state: Exclude<State, { kind: 'fresh' }>,
  purge: string | undefined,
): { stamps: string | undefined; reason: OutcomeReason } {
  if (state.kind === 'unleased' || purge === undefined) return { stamps: undefined, reason: 'no-lease' };
  if (state.kind === 'fenced') return { stamps: undefined, reason: 'fenced' };
  if (state.kind === 'stale') return { stamps: state.stamps, reason: 'expired' };
  if (state.tokens.includes(undefined)) return { stamps: undefined, reason: 'store-unavailable' };
  return { stamps: stampText(purge, state.tokens as string[]), reason: state.cause };
}

/** The first part of an entry. Loads are joined by it. */
export function stampText(purge: string, tokens: readonly string[]): string {
  return `${purge}|${tokens.join(',')}|`;
}

/** @throws CacheError UNENCODABLE */
export function entryText(entry: { stamps: string; value: unknown; loadedAtMs: number; ttlMs: number }): string {
  const { text, form } = encode(entry.value);
  return `${entry.stamps}${entry.loadedAtMs}|${entry.ttlMs}|${form}|${text}`;
}

/** Undefined for values that JSON cannot represent. */
export function entryTextIfAny(entry: Parameters<typeof entryText>[0]): string | undefined {
  try {
    return entryText(entry);
  } catch {
    return undefined;
  }
}

/** Undefined when the entry is damaged or in another form: a miss. */
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
