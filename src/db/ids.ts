/** Ids: UUIDv7 in Postgres, TypeIDs (`task_01h455vb4pex5vsknk084sn02q`) everywhere else. */
import { TypeID } from 'typeid-js';
import { v7 } from 'uuid';
import { GenerationalCache } from '../engine/cache/index.js';

export type Id<Prefix extends string = string> = `${Prefix}_${string}`;
export type UserId = Id<'user'>;
export type ProjectId = Id<'project'>;
export type TaskId = Id<'task'>;
export type LabelId = Id<'label'>;
export type CommentId = Id<'comment'>;

/**
 * A new id; sorts by `atMs` (default: now), so that ids of one kind are in order of creation. `random`: 16 bytes, for ids
 * that shall be the same each time.
 */
export function newId<P extends string>(prefix: P, atMs?: number, random?: Uint8Array): Id<P> {
  // Only without options does v7 keep the order of ids made within one millisecond.
  if (atMs === undefined) return fromUuid(prefix, v7());
  return fromUuid(prefix, v7({ msecs: atMs, ...(random && { random }) }));
}

/** Ids in use are converted again and again: for tags and statements, and back for each row that names them. */
const MAX_KNOWN = 20_000;
const uuids = new GenerationalCache<Id, string>(MAX_KNOWN);
/** By prefix; few. */
const ids = new Map<string, GenerationalCache<string, Id>>();

/** @param uuid as Postgres writes it */
export function fromUuid<P extends string>(prefix: P, uuid: string): Id<P> {
  let known = ids.get(prefix);
  if (known === undefined) {
    known = new GenerationalCache(MAX_KNOWN);
    ids.set(prefix, known);
  }
  const found = known.get(uuid);
  if (found !== undefined) return found as Id<P>;
  const id = TypeID.fromUUID(prefix, uuid).toString() as Id<P>;
  known.set(uuid, id);
  uuids.set(id, uuid);
  return id;
}

/** Lower case, with hyphens: Postgres's own text, which tags are made of. */
export function toUuid(id: Id): string {
  const known = uuids.get(id);
  if (known !== undefined) return known;
  const uuid = TypeID.fromString(id).toUUID();
  uuids.set(id, uuid);
  return uuid;
}

/** The prefix of a well-formed id; undefined when `text` is none. */
export function idPrefix(text: string): string | undefined {
  if (uuids.get(text as Id) !== undefined) return text.slice(0, text.lastIndexOf('_'));
  try {
    const id = TypeID.fromString(text);
    uuids.set(text as Id, id.toUUID()); // the suffix may have the form of one and still be none
    return id.getType();
  } catch {
    return undefined;
  }
}

export function isId<P extends string>(prefix: P, text: string): text is Id<P> {
  return idPrefix(text) === prefix;
}
