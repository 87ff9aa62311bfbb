/** Builds the executable schema from the resolver classes, and binds and checks every cache policy. */
import {
  assertValidSchema,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  lexicographicSortSchema,
  printSchema,
  specifiedDirectives,
} from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import type { Source } from '../db/sources.js';
import { bindPolicies, type PolicyLine } from '../engine/graphql/index.js';
import { LiveDirective } from './live-directive.js';
import { userErrorTypes } from './user-error.js';

export interface BuiltSchema {
  readonly schema: GraphQLSchema;
  /** Sorted by name, for test/api/cache-policies.md. */
  readonly policies: readonly PolicyLine[];
}

const RESOLVERS = 'resolvers';

/** Descriptions of the root types, which have no class. */
const ROOTS = {
  Query: 'Reads. Every field returns only what the viewer can see; an object the viewer cannot see is null.',
  Mutation: 'Writes. An expected refusal is returned in `errors` of the payload; nothing was changed in that case.',
  Subscription: 'Events, sent over a WebSocket or as server-sent events when they happen.',
} as const;

/**
 * type-graphql requires one if there is a subscription, even if every subscription has its own `subscribe` and no
 * topics.
 */
const NO_TOPICS = {
  publish() {
    throw new TypeError('subscriptions have no topics here: declare `subscribe`');
  },
  subscribe(): never {
    throw new TypeError('subscriptions have no topics here: declare `subscribe`');
  },
};

type ResolverClass = abstract new (...args: never[]) => object;

/**
 * @param resolvers instances, created by the caller. Call it once per process, because type-graphql's metadata is
 * global.
 * @param guardRoots see cached.ts; for development and tests
 */
export function buildApiSchema(
  resolvers: readonly object[],
  orphanedTypes: readonly ResolverClass[],
  sources: readonly Source<never, unknown>[],
  { guardRoots = false }: { guardRoots?: boolean } = {},
): BuiltSchema {
  const instances = new Map(resolvers.map((resolver) => [resolver.constructor, resolver]));
  const schema = buildSchemaSync({
    resolvers: resolvers.map((resolver) => resolver.constructor) as [never],
    directives: [...specifiedDirectives, LiveDirective],
    orphanedTypes: [...userErrorTypes, ...orphanedTypes] as never[],
    container: { get: (someClass) => instances.get(someClass) },
    validate: false, // services validate inputs themselves, with their own messages
    pubSub: NO_TOPICS,
    skipCheck: true, // it executes the whole introspection query, which takes most of the time
  });
  assertValidSchema(schema);
  for (const [name, description] of Object.entries(ROOTS)) {
    const type = schema.getType(name);
    if (type) type.description = description;
  }
  schema.extensions = { ...schema.extensions, [RESOLVERS]: instances };
  return { schema, policies: bindPolicies(schema, sources, { guardRoots }) };
}

/** For a subscription's `subscribe` option, which type-graphql calls without the resolver instance. */
export function instanceOf<T extends object>(
  { schema }: GraphQLResolveInfo,
  someClass: new (...args: never[]) => T,
): T {
  const instances = schema.extensions[RESOLVERS] as ReadonlyMap<unknown, object>; // set by `buildApiSchema`
  return instances.get(someClass) as T;
}

/** The text of schema.graphql. Sorted, so it does not depend on the order of the code. */
export function printApiSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
