// @ts-check
/** A plugin of codegen: the schema as the clients' caches read it, so that they know which types an interface can be. */
import { introspectionFromSchema } from 'graphql';

/** @param {import('graphql').GraphQLSchema} schema */
export const plugin = (schema) => JSON.stringify(introspectionFromSchema(schema, { descriptions: false }));
