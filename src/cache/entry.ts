/**
 * What is stored for a key, and what it is worth now. An entry is text:
 *
 *     <purge>|<token>,<token>,…|<loadedAtMs>|<ttlMs>|<j or m>|<value>
 *
 * The tokens are those that the key's tags had before the source was read, in the order of its tags. All that validity
 * depends on stands in front, so an entry is judged by one comparison of text and parsed only when it is a hit.
 */
import { decode, encode } from './codec.js';
import type { Tag } from './tag.js';

/** Part of every key: a build with another form neither reads nor destroys the entries of this one. */
export const ENTRY_FORMAT = 1;

/** What the trust lease says: hits and fills are allowed now, under this purge token. */
export interface Lease {
  readonly generation: string;
  readonly purge: string;
}

export interface Entry {
  readonly value: unknown;
  readonly ageMs: number;
  readonly ttlLeftMs: number;
  readonly chars: number;
}

/** The state of a key: a pure function of the lease, its entry and the tokens of its tags, as one read saw them. */
export type State =
  | { readonly kind: 'fresh'; readonly entry: Entry }
  /** Freshness cannot be proved now: load, and store nothing. */
  | { readonly kind: 'unleased' }
  | { readonly kind: 'fenced' }
  /** Absent, invalid or unreadable: load, and store under these tokens (`undefined`: the tag has none yet). */
  | { readonly kind: 'missing'; readonly invalid: boolean; readonly tokens: readonly (string | undefined)[] };

export function isFence(token: string): boolean {
  return token.startsWith('!');
}

/** The transaction ids in a fence `!<xid>,<xid>,`. */
export function fenceIds(fence: string): string[] {
  return fence.slice(1).split(',').filter(Boolean);
}

export function stateOf(seen: {
  lease: Lease | undefined;
  text: string | undefined;
  tags: readonly Tag[];
  tokens: readonly (string | undefined)[];
  nowMs: number;
}): State {
  const { lease, text, tags, tokens } = seen;
  if (lease === undefined) return { kind: 'unleased' };
  let complete = true;
  for (let i = 0; i < tags.length; i++) {
    const token = tokens[i];
    if (token === undefined) complete = false;
    else if (isFence(token)) return { kind: 'fenced' };
  }
  // A missing token is never equal to anything: the entry's tag was lost, and with it the proof.
  if (text !== undefined && complete) {
    const entry = readEntry(text, stampText(lease.purge, tokens as readonly string[]), seen.nowMs);
    if (entry !== undefined) return { kind: 'fresh', entry };
  }
  return { kind: 'missing', invalid: text !== undefined, tokens };
}

/** The front of an entry, and the name under which equal loads are joined. */
export function stampText(purge: string, tokens: readonly string[]): string {
  return `${purge}|${tokens.join(',')}|`;
}

/** @throws CacheError UNENCODABLE */
export function entryText(entry: { stamps: string; value: unknown; loadedAtMs: number; ttlMs: number }): string {
  const { text, marked } = encode(entry.value);
  return `${entry.stamps}${entry.loadedAtMs}|${entry.ttlMs}|${marked ? 'm' : 'j'}|${text}`;
}

function readEntry(text: string, stamps: string, nowMs: number): Entry | undefined {
  if (!text.startsWith(stamps)) return undefined;
  const afterLoaded = text.indexOf('|', stamps.length);
  const afterTtl = text.indexOf('|', afterLoaded + 1);
  const loadedAtMs = Number(text.slice(stamps.length, afterLoaded));
  const ttlMs = Number(text.slice(afterLoaded + 1, afterTtl));
  const marked = text[afterTtl + 1] === 'm';
  try {
    const value = decode({ text: text.slice(afterTtl + 3), marked });
    const ageMs = Math.max(0, nowMs - loadedAtMs);
    return { value, ageMs, ttlLeftMs: Math.max(0, ttlMs - ageMs), chars: text.length };
  } catch {
    return undefined; // damaged or foreign: a miss, like any entry that is not ours
  }
}
