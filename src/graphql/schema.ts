/** The executable schema, from the resolvers' classes, with every cache policy bound and checked. */
import { type GraphQLResolveInfo, type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import type { Source } from '../db/sources.js';
import { bindPolicies, type PolicyLine } from '../engine/graphql/index.js';
import { userErrorTypes } from './user-error.js';

export interface BuiltSchema {
  readonly schema: GraphQLSchema;
  /** Sorted by name: the table that is checked in. */
  readonly policies: readonly PolicyLine[];
}

const RESOLVERS = 'resolvers';

/** Of the types that have no class to describe them. */
const ROOTS = {
  Query: 'What can be read. All of it is as the viewer may see it; what they may not see is null.',
  Mutation: 'What can be changed. A refusal is told in `errors` of what it answers; nothing was changed then.',
  Subscription: 'What is told when it happens, over a WebSocket.',
} as const;

/** type-graphql asks for it as soon as there is a subscription, also where each brings its own `subscribe` and no topics. */
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
 * `resolvers` are instances: composition is the caller's. Run once a process, since type-graphql's metadata is global. `guardRoots`: see
 * cached.ts; for development and tests.
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
    orphanedTypes: [...userErrorTypes, ...orphanedTypes] as never[],
    container: { get: (someClass) => instances.get(someClass) },
    validate: false, // services check inputs themselves, with messages of their own
    pubSub: NO_TOPICS,
  });
  for (const [name, description] of Object.entries(ROOTS)) {
    const type = schema.getType(name);
    if (type) type.description = description;
  }
  schema.extensions = { ...schema.extensions, [RESOLVERS]: instances };
  return { schema, policies: bindPolicies(schema, sources, { guardRoots }) };
}

/** For the option `subscribe` of a subscription, which type-graphql calls without the resolver it stands in. */
export function instanceOf<T extends object>(
  { schema }: GraphQLResolveInfo,
  someClass: new (...args: never[]) => T,
): T {
  const instances = schema.extensions[RESOLVERS] as ReadonlyMap<unknown, object>; // by `buildApiSchema`
  return instances.get(someClass) as T;
}

/** The text of schema.graphql: types, fields and values in one order, whatever the order of the code. */
export function printApiSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
