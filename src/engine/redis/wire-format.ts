/** The texts in Redis: positions, records of the log, notes of fences and published messages. */
import { type Lease, leaseOf } from '../cache/entry.js';
import {
  type LogMark,
  type LogSlice,
  MAX_NOTES_PER_READ,
  MAX_RECORDS_PER_READ,
  type OrphanFence,
  type Position,
  type ReleasedBy,
  recordOf,
  type StoreEvent,
} from '../cache/store.js';
import type { Tag } from '../cache/tag.js';

/** See head.lua. */
export type HeadReply = [
  seconds: string,
  micros: string,
  position: string,
  pttl: number,
  run: string,
  released: string[],
  checked: string,
  lease: string,
  orphans: string[],
  refusal: string,
  history: string,
  samplesWanted: 0 | 1,
];

type StreamRecord = [id: string, fields: string[]];

export function endOf(reply: unknown): LogSlice {
  const last = (reply as StreamRecord[])[0];
  return { kind: 'tail', mark: last && markOf(last[0]) };
}

export function sinceMark(since: LogMark, reply: unknown): LogSlice {
  const found = (reply as [string, StreamRecord[]][] | null)?.[0]?.[1] ?? [];
  const [first, ...next] = found;
  const isMark = first?.[0] === `${since.epoch}-${since.sequence}`;
  if (!isMark || next.length > MAX_RECORDS_PER_READ) return { kind: 'gap' };
  const records = [];
  let sequence = since.sequence;
  for (const [id, [, text]] of next) {
    const mark = markOf(id);
    const tags = tagsOf(text);
    if (mark.epoch !== since.epoch || mark.sequence !== ++sequence || tags === undefined) return { kind: 'gap' };
    records.push(tags);
  }
  return { kind: 'records', mark: { epoch: since.epoch, sequence }, records };
}

export function markOf(id: string): LogMark {
  const [epoch = '', sequence] = id.split('-');
  return { epoch, sequence: Number(sequence) };
}

export function logRecord(tags: readonly Tag[]): string {
  return JSON.stringify(recordOf(tags));
}

/** Undefined when it is no record of ours: then nothing can be said of what it invalidates. */
function tagsOf(text: string | undefined): readonly Tag[] | undefined {
  try {
    const tags: unknown = JSON.parse(text ?? '');
    return Array.isArray(tags) ? (tags as Tag[]) : undefined;
  } catch {
    return undefined;
  }
}

/** The lease of a group, from the text of its key. Undefined: there is none. */
export function readLease(text: string | null | undefined): Lease | undefined {
  const [generation, purge, generations] = text?.split(':') ?? [];
  return generation === undefined || purge === undefined ? undefined : leaseOf(generation, purge, generations);
}

export function readPosition(text: string): Position | undefined {
  const [xid, purge] = text.split(':');
  return xid !== undefined && purge !== undefined && /^\d+$/.test(xid) ? { xid: BigInt(xid), purge } : undefined;
}

export function readNote(note: string): OrphanFence {
  const bar = note.indexOf('|');
  return { xid: note.slice(0, bar), tags: JSON.parse(note.slice(bar + 1)) as Tag[] };
}

/** The tags that the notes name; undefined if there are too many notes, or one is not ours. */
export function fencedTags(notes: unknown): ReadonlySet<Tag> | undefined {
  const texts = notes as readonly string[];
  if (texts.length > MAX_NOTES_PER_READ) return undefined;
  try {
    return new Set(texts.flatMap((text) => readNote(text).tags));
  } catch {
    return undefined;
  }
}

export function positionText({ xid, purge }: Position): string {
  return `${xid}:${purge}`;
}

export function message(xid: string, tags: readonly Tag[], by: ReleasedBy): string {
  return JSON.stringify({ xid, tags, by });
}

const RELEASED_BY: ReadonlySet<unknown> = new Set<ReleasedBy>(['writer', 'relay', 'recovery', 'hand']);

/** Undefined for what we do not write: anybody may publish. */
export function readMessage(text: string): StoreEvent | undefined {
  try {
    const { xid, tags, by } = JSON.parse(text) as { xid: unknown; tags: unknown; by: unknown };
    if (typeof xid !== 'string' || !Array.isArray(tags)) return undefined;
    const xids = xid.split(',').filter((id) => id !== '');
    // Another build of this product may publish without saying who.
    return { kind: 'released', xids, tags: tags as Tag[], by: RELEASED_BY.has(by) ? (by as ReleasedBy) : 'writer' };
  } catch {
    return undefined;
  }
}
