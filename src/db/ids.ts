/** Ids: UUIDv7 in Postgres, TypeIDs (`task_01h455vb4pex5vsknk084sn02q`) everywhere else. */
import { TypeID } from 'typeid-js';
import { v7 } from 'uuid';
import { RecentMap } from '../engine/cache/index.js';

export type Id<Prefix extends string = string> = `${Prefix}_${string}`;
export type UserId = Id<'user'>;
export type ProjectId = Id<'project'>;
export type TaskId = Id<'task'>;
export type LabelId = Id<'label'>;
export type InvitationId = Id<'invitation'>;
export type CommentId = Id<'comment'>;
export type WebhookId = Id<'webhook'>;
export type DeliveryId = Id<'delivery'>;
/** Of an entry: `history_` and its number, no TypeID. */
export type HistoryId = Id<'history'>;

/**
 * A new id that sorts by `atMs` (default: now), so ids of one type are in order of creation.
 * @param random 16 bytes, for reproducible ids
 */
export function newId<P extends string>(prefix: P, atMs?: number, random?: Uint8Array): Id<P> {
  // Only without options does v7 keep the order of ids made within one millisecond.
  if (atMs === undefined) return fromUuid(prefix, v7());
  return fromUuid(prefix, v7({ msecs: atMs, ...(random && { random }) }));
}

/** Ids in use are converted again and again: for tags and statements, and back for each row that contains them. */
const MAX_KNOWN = 20_000;
const uuids = new RecentMap<Id, string>(MAX_KNOWN);
/** Keyed by prefix; there are few. */
const ids = new Map<string, RecentMap<string, Id>>();

/** @param uuid in the format of Postgres */
export function fromUuid<P extends string>(prefix: P, uuid: string): Id<P> {
  let known = ids.get(prefix);
  if (known === undefined) {
    known = new RecentMap(MAX_KNOWN);
    ids.set(prefix, known);
  }
  const found = known.get(uuid);
  if (found !== undefined) return found as Id<P>;
  const id = TypeID.fromUUID(prefix, uuid).toString() as Id<P>;
  known.set(uuid, id);
  uuids.set(id, uuid);
  return id;
}

/** For large reads, whose ids must not displace those in use. */
export function fromUuidOnce<P extends string>(prefix: P, uuid: string): Id<P> {
  return TypeID.fromUUID(prefix, uuid).toString() as Id<P>;
}

/** Lower case with hyphens, the format of Postgres, which tags contain. */
export function toUuid(id: Id): string {
  const known = uuids.get(id);
  if (known !== undefined) return known;
  const uuid = TypeID.fromString(id).toUUID();
  uuids.set(id, uuid);
  return uuid;
}

/** The prefix of a well-formed id; undefined if `text` is not an id. */
export function idPrefix(text: string): string | undefined {
  if (uuids.get(text as Id) !== undefined) return text.slice(0, text.lastIndexOf('_'));
  try {
    const id = TypeID.fromString(text);
    uuids.set(text as Id, id.toUUID()); // the suffix can have the form of a UUID and still be invalid
    return id.getType();
  } catch {
    return undefined;
  }
}

export function isId<P extends string>(prefix: P, text: string): text is Id<P> {
  return idPrefix(text) === prefix;
}
