/**
 * What decorators tell type-graphql. Its metadata is one object for all its copies in the process, so this writes there
 * without importing the library: schemas that are built otherwise need not have it installed.
 */
import { createRequire } from 'node:module';
import type { GraphQLResolveInfo } from 'graphql';
import type { CacheContext } from './executions.js';

interface Method {
  /** The resolver's class. */
  readonly target: unknown;
  readonly fieldName: string;
}

/** What a middleware may change is what the method is called with. */
interface Call {
  root: unknown;
  readonly args: unknown;
  readonly context: CacheContext;
  readonly info: GraphQLResolveInfo;
}

export type Middleware = (call: Call, next: () => Promise<unknown>) => Promise<unknown>;

interface MetadataStorage {
  collectMiddlewareMetadata(metadata: Method & { readonly middlewares: readonly Middleware[] }): void;
  collectExtensionsFieldMetadata(metadata: Method & { readonly extensions: object }): void;
}

/** As `@UseMiddleware` does. */
export function addMiddleware(method: Method, middleware: Middleware): void {
  storage().collectMiddlewareMetadata({ ...method, middlewares: [middleware] });
}

/** As `@Extensions` does. */
export function addExtensions(method: Method, extensions: object): void {
  storage().collectExtensionsFieldMetadata({ ...method, extensions });
}

/** @throws where type-graphql is not installed */
function storage(): MetadataStorage {
  const held = globalThis as { TypeGraphQLMetadataStorage?: MetadataStorage };
  // A class whose first decorator is ours: the library makes the object with its first use.
  held.TypeGraphQLMetadataStorage ?? createRequire(import.meta.url)('type-graphql').getMetadataStorage();
  return held.TypeGraphQLMetadataStorage as MetadataStorage;
}
