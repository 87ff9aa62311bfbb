/**
 * Values that a load brings along: the statement of a list also reads the rows that it lists. Process memory keeps them, so
 * the request that lists them reads nothing more for them.
 *
 * No token was read for such a value, and the log alone proves nothing about it. The record of a fenced write comes before its
 * COMMIT, and RELEASE appends none: of a write that was logged before the load and commits after it, no record will tell.
 * So the READ before the load also reads the notes of all fences that stand. A value is kept under that READ's cursor, unless
 * one of the notes names one of its tags, or a record since. PROTOCOL.md, section 12.
 *
 * Such a copy has no stamps. It is not given to a snapshot, which validates by stamps, and it is not in the store: another
 * process, or this one once memory has dropped it, loads the value by itself and stores it then. So a row that was read once
 * costs the store nothing.
 */
import { type CallNames, MAX_TAGS } from './call.js';
import type { LogCursor } from './log-cursor.js';
import type { NearCache } from './near-cache.js';
import { type Bring, DEFAULT_MAX_CHARS, entryTtlMs } from './policy.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

/** What the READ before a load returned. */
export interface ReadBefore {
  /** Absent: memory may keep nothing that is loaded after it. */
  readonly cursor?: LogCursor | undefined;
  /** The tags of standing fences. Absent: they were not read. */
  readonly fenced?: ReadonlySet<Tag> | undefined;
}

/**
 * Takes what a load brings along whose statements are sent after this READ was answered. Undefined: nothing would be
 * kept.
 */
export function bringAfter(
  { cursor, fenced }: ReadBefore,
  { names, near, clock, random }: { names: CallNames; near: NearCache | undefined; clock: Clock; random: () => number },
): Bring | undefined {
  if (near === undefined || cursor === undefined || fenced === undefined) return undefined;
  return (policy, arg, value) => {
    const { key, tags } = names.call(policy, arg, undefined);
    if (tags.length > MAX_TAGS || tags.some((tag) => fenced.has(tag))) return;
    const loadedAtMs = clock.nowMs();
    if (near.get(key, loadedAtMs) !== undefined) return; // that copy may have stamps
    const chars = roughChars(value);
    if (chars > (policy.maxChars ?? DEFAULT_MAX_CHARS)) return;
    const untilMs = loadedAtMs + entryTtlMs(policy, value, random());
    near.put(cursor, key, { value, tags, stamps: undefined, chars, loadedAtMs, untilMs });
  };
}

/** About the length of the value as JSON, without making it. */
function roughChars(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return 6;
  let chars = 2;
  for (const name of Object.keys(value)) {
    chars += name.length + 4 + roughChars((value as Record<string, unknown>)[name]);
  }
  return chars;
}
