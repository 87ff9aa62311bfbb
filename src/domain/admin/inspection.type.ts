/** GraphQL types of the queries cachePolicies and cacheTag. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { CacheMiss } from './activity.type.js';
import { CacheStatistics } from './admin.type.js';

export enum CacheTagState {
  TOKEN = 'TOKEN',
  FENCED = 'FENCED',
  NONE = 'NONE',
}
registerEnumType(CacheTagState, {
  name: 'CacheTagState',
  description: 'What Redis holds for a tag.',
  valuesConfig: {
    TOKEN: { description: 'A token: entries stored under it are valid.' },
    FENCED: { description: 'A fence: a transaction is about to commit. Nothing under the tag is served or stored.' },
    NONE: { description: 'Nothing: no entry under the tag is valid. Its next reader makes a token.' },
  },
});

export enum CacheTagLookupKind {
  ROW = 'ROW',
  TAG = 'TAG',
}
registerEnumType(CacheTagLookupKind, {
  name: 'CacheTagLookupKind',
  description: 'What the text given to cacheTag names.',
  valuesConfig: {
    ROW: { description: 'A row of a cached table.' },
    TAG: { description: 'A tag.' },
  },
});

@ObjectType({
  description: 'A cached source or field: what it declares, and how its calls ended.',
  simpleResolvers: true,
})
export class CachePolicy {
  @Field(() => String, { description: 'Name of the cached source or field.' })
  name: string;

  @Field(() => [String], {
    description:
      'The GraphQL fields that return this value, as Type.field. Empty if it is only read as a part of other ' +
      'fields.',
  })
  coordinates: readonly string[];

  @Field(() => Float, { description: 'Time to live of its entries in ms.' })
  ttlMs: number;

  @Field(() => Float, {
    description: 'How much longer an entry may be served while it is refreshed, in ms. 0: not at all.',
  })
  staleMs: number;

  @Field(() => String, { description: 'Who shares an entry: public, or viewer.' })
  scope: string;

  @Field(() => String, { description: 'Names the form of the stored value. Another shape is another entry.' })
  shape: string;

  @Field(() => CacheStatistics, {
    nullable: true,
    description: 'Outcomes of its calls today (UTC), summed over all processes. Null if it was not called.',
  })
  today: CacheStatistics | null;

  @Field(() => Int, { description: 'Number of its entries in the memory of this process.' })
  memoryEntries: number;

  @Field(() => Float, { description: 'Estimated size of memoryEntries in bytes.' })
  memoryBytes: number;

  @Field(() => [CacheMiss], {
    description:
      'Its last 20 calls on this process that were not served from the cache, newest first. Recorded only while ' +
      'someone subscribes to cacheActivity.',
  })
  lastMisses: readonly CacheMiss[];
}

@ObjectType({
  description: 'The last transaction that touched a tag, and so invalidated the entries under it.',
  simpleResolvers: true,
})
export class CacheTagInvalidation {
  @Field(() => String, { description: 'Its transaction id.' })
  transaction: string;

  @Field(() => GraphQLDateTime, { description: 'When the transaction began, by the clock of the database.' })
  at: Date;
}

@ObjectType({ description: 'An entry in the memory of a process.', simpleResolvers: true })
export class CacheMemoryEntry {
  @Field(() => String, { description: 'Name of the cached source or field; `Answer` for a kept answer.' })
  policy: string;

  @Field(() => String, { description: 'Key of the entry. For a kept answer, only its viewer.' })
  key: string;

  @Field(() => Float, { description: 'Time since it was loaded in ms.' })
  ageMs: number;

  @Field(() => Float, { description: 'Remaining time to live in ms.' })
  ttlLeftMs: number;

  @Field(() => Float, { description: 'Estimated size in bytes.' })
  bytes: number;
}

@ObjectType({ description: 'Entries of one cached source or field under a tag.', simpleResolvers: true })
export class CacheTagPolicy {
  @Field(() => String, { description: 'Name of the cached source or field; `Answer` for kept answers.' })
  name: string;

  @Field(() => Int, { description: 'Number of its entries under the tag in the memory of this process.' })
  entries: number;

  @Field(() => Float, { description: 'Estimated size of entries in bytes.' })
  bytes: number;
}

@ObjectType({
  description: 'State of a tag: the name of a set of rows. Entries under one tag are invalidated together.',
  simpleResolvers: true,
})
export class CacheTag {
  @Field(() => String, { description: 'The tag in the form shown in traces.' })
  tag: string;

  @Field(() => CacheTagState, { description: 'What Redis holds for the tag.' })
  state: CacheTagState;

  @Field(() => String, { nullable: true, description: 'The token or fence that Redis holds. Null if it holds none.' })
  text: string | null;

  @Field(() => [String], { description: 'Ids of the transactions that hold a fence.' })
  fencedBy: readonly string[];

  @Field(() => Float, {
    nullable: true,
    description: 'Remaining time to live of the token in ms. Null for a fence, or without either.',
  })
  ttlMs: number | null;

  @Field(() => CacheTagInvalidation, {
    nullable: true,
    description:
      'The last transaction that touched the tag. Null if none of the newest 20000 rows of the outbox names ' +
      'the tag; rows are kept for about an hour.',
  })
  lastInvalidation: CacheTagInvalidation | null;

  @Field(() => [CacheMemoryEntry], { description: 'Entries under the tag in the memory of this process, at most 50.' })
  entries: readonly CacheMemoryEntry[];

  @Field(() => Int, { description: 'How many more entries there are.' })
  entriesOmitted: number;

  @Field(() => [CacheTagPolicy], {
    description: 'All entries under the tag in the memory of this process, by cached source or field.',
  })
  policies: readonly CacheTagPolicy[];
}

@ObjectType({ description: 'A tag, or the tags of a row.', simpleResolvers: true })
export class CacheTagLookup {
  @Field(() => String, { description: 'The text that was looked up.' })
  text: string;

  @Field(() => CacheTagLookupKind, { description: 'What the text names.' })
  kind: CacheTagLookupKind;

  @Field(() => String, { description: 'Table of the row or the tag.' })
  table: string;

  @Field(() => Boolean, { description: 'Whether the row exists. True for a tag.' })
  found: boolean;

  @Field(() => ID, { nullable: true, description: 'Id of the row in the API. Null for a tag.' })
  id: string | null;

  @Field(() => [CacheTag], {
    description:
      'The tag. For a row, all tags that a change to any of its columns touches: the tag of its id first, ' +
      'that of the table last.',
  })
  tags: readonly CacheTag[];
}
