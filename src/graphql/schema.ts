/** The executable schema, from the resolvers' classes, with every cache policy bound and checked. */
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import { bindPolicies, type PolicyLine } from './cached.js';
import type { Source } from './loads.js';
import { userErrorTypes } from './user-error.js';

export interface BuiltSchema {
  readonly schema: GraphQLSchema;
  /** Sorted by name: the table that is checked in. */
  readonly policies: readonly PolicyLine[];
}

type ResolverClass = abstract new (...args: never[]) => object;

/** `resolvers` are instances: composition is the caller's. Run once a process, since type-graphql's metadata is global. */
export function buildApiSchema(
  resolvers: readonly object[],
  orphanedTypes: readonly ResolverClass[],
  sources: readonly Source<never, unknown>[],
): BuiltSchema {
  const instances = new Map(resolvers.map((resolver) => [resolver.constructor, resolver]));
  const schema = buildSchemaSync({
    resolvers: resolvers.map((resolver) => resolver.constructor) as [never],
    orphanedTypes: [...userErrorTypes, ...orphanedTypes] as never[],
    container: { get: (someClass) => instances.get(someClass) },
    validate: false, // services check inputs themselves, with messages of their own
  });
  return { schema, policies: bindPolicies(schema, sources) };
}

/** The text of schema.graphql: types, fields and values in one order, whatever the order of the code. */
export function printApiSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
