/** The names of keys. All keys of a group share its hash tag, so that they are on one server of a Cluster. */
import { ENTRY_FORMAT } from '../cache/entry.js';
import type { Key } from '../cache/key.js';
import type { Tag } from '../cache/tag.js';

/** What is named after its group: `{tasks}`. */
interface Tagged {
  readonly hashTag: string;
}

/**
 * The position, the ids released, the notes of fences, the log; and, before the run id of a server, its lease and its
 * barrier.
 */
export function protocolKey(name: 'pos' | 'rel' | 'fen' | 'log' | 'ok' | 'bar', { hashTag }: Tagged): string {
  return `${name}:${hashTag}`;
}

/**
 * The lease and its barrier speak of one run of one server. Not replicating them is not enough: a snapshot, the base of
 * an append-only file and a full resync copy them, to be found by a server that has lost what came after.
 */
export function runKey(name: 'ok' | 'bar', group: Tagged, run: string): string {
  return `${protocolKey(name, group)}:${run}`;
}

export function entryKey({ hashTag }: Tagged, key: Key): string {
  return `e${ENTRY_FORMAT}:${hashTag}:${key}`;
}

export function tagKey({ hashTag }: Tagged, tag: Tag): string {
  return `t:${hashTag}:${tag}`;
}

export function tagKeys(group: Tagged, tags: readonly Tag[]): string[] {
  return tags.map((tag) => tagKey(group, tag));
}

/** The lock of the process that refreshes a stale entry. */
export function refreshKey({ hashTag }: Tagged, key: Key): string {
  return `r:${hashTag}:${key}`;
}

export function textKey({ hashTag }: Tagged, name: string): string {
  return `q:${hashTag}:${name}`;
}

/** The names of the texts, oldest first. */
export function textIndexKey({ hashTag }: Tagged): string {
  return `qi:${hashTag}`;
}

/** There while samples are wanted. Its name is made in head.lua, too. */
export function samplesWantedKey({ hashTag }: Tagged): string {
  return `want:${hashTag}`;
}

export function samplesKey({ hashTag }: Tagged): string {
  return `smp:${hashTag}`;
}

export function countersKey({ hashTag }: Tagged, day: string): string {
  return `stat:${hashTag}:${day}`;
}
