/** What deleted tasks and deleted projects have in common in the API. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ObjectType } from 'type-graphql';
import { DAY } from '../../std/time.js';

/** How long deletions are kept unless configured. */
export const DEFAULT_TRASH_DAYS = 30;

export const DELETED_BY = 'User who deleted it. Null if the user no longer exists.';
export const EXPIRES_AT = 'It can be restored until this time, and is purged soon after.';

@ObjectType({ simpleResolvers: true })
export abstract class Trashed {
  @Field(() => GraphQLDateTime, { description: 'When it was deleted.' })
  deletedAt: string;
}

/** When a deletion is purged. */
export function expiryOf({ deletedAt }: Trashed, trashDays: number): string {
  return new Date(Date.parse(deletedAt) + trashDays * DAY).toISOString();
}
