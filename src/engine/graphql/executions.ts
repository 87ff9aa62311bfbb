/**
 * The loaders of one execution, for applications that do not keep them in a context of their own. They are found by
 * what graphql-js makes for each execution and hands to each resolver: the object of its variables. Not by the context,
 * which an application may share between requests: a value that one request has read would then be served to the next,
 * however old.
 *
 * What bypasses the cache is decided here, by the operation itself. So no plugin that is missing, and no resolver that
 * forgets, can cache what a mutation reads.
 */
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { type Cache, CacheError } from '../cache/index.js';
import { Tracer } from './cache-trace.js';
import { type LoadDatabase, RequestLoaders } from './request-loaders.js';

type AnyLoads = RequestLoaders<never>;

const EXTENSION = 'cacheExecutions';
const SILENT = new Tracer(false);

export interface ExecutionsOptions<Db extends LoadDatabase<Db>> {
  readonly cache: Cache;
  /** What sources load from. */
  readonly db: Db;
  /**
   * Names the viewer of a request, for policies with the scope `viewer`. Undefined for an anonymous request, in which
   * such a field is an error.
   */
  readonly viewer?: ((context: unknown) => string | undefined) | undefined;
  /** Whether cached methods throw when they compute from their root: for development and tests. */
  readonly guardRoots: boolean;
}

export class Executions<Db extends LoadDatabase<Db>> {
  readonly #options: ExecutionsOptions<Db>;
  readonly #loads = new WeakMap<object, RequestLoaders<Db>>();
  /** By context, which the server's plugin gets before anything is executed. */
  readonly #tracers = new WeakMap<object, Tracer>();

  constructor(options: ExecutionsOptions<Db>) {
    this.#options = options;
  }

  get guardRoots(): boolean {
    return this.#options.guardRoots;
  }

  /** Traces what is executed with this context. */
  trace(context: object, tracer: Tracer): void {
    this.#tracers.set(context, tracer);
  }

  of(context: unknown, info: GraphQLResolveInfo): RequestLoaders<Db> {
    const known = this.#loads.get(info.variableValues);
    if (known !== undefined) return known;
    const { cache, db, viewer } = this.#options;
    const loads = new RequestLoaders<Db>({
      cache,
      db,
      viewer: viewer?.(context),
      tracer: (isObject(context) && this.#tracers.get(context)) || SILENT,
      readSet: cache.readSet(),
      ...(info.operation.operation === 'mutation' && { bypass: 'mutation' as const }),
    });
    this.#loads.set(info.variableValues, loads);
    // Some executors hand the same object to every event of a subscription, which must not be given what an earlier one
    // has read. So loaders of a subscription last for one tick: long enough for what is asked for together.
    if (info.operation.operation === 'subscription') setImmediate(() => this.#loads.delete(info.variableValues));
    return loads;
  }

  /**
   * From now on cached fields of this schema are read through these loaders. @throws CacheError POLICY when it has been
   * bound before
   */
  bind(schema: GraphQLSchema): void {
    if (schema.extensions[EXTENSION] !== undefined)
      throw new CacheError('POLICY', 'this schema has been bound to a cache before');
    schema.extensions = { ...schema.extensions, [EXTENSION]: this };
  }
}

/** See `ExecutionsOptions`. */
export function guardsRoots(schema: GraphQLSchema): boolean {
  return (schema.extensions[EXTENSION] as Executions<never> | undefined)?.guardRoots === true;
}

/** What a resolver's context has, one for each request, unless the schema is bound to a cache. */
export interface CacheContext {
  readonly loaders?: Pick<AnyLoads, 'load' | 'read' | 'enter'>;
}

/** The loaders of this execution: those of the schema's cache, else those that the application keeps in its context. */
export function loadsOf(
  context: { readonly loaders?: Pick<AnyLoads, 'load' | 'read' | 'enter'> },
  info: GraphQLResolveInfo,
) {
  const executions = info.schema.extensions[EXTENSION] as Executions<never> | undefined;
  const loads = executions === undefined ? context?.loaders : executions.of(context, info);
  if (loads === undefined) {
    const coordinate = `${info.parentType.name}.${info.fieldName}`;
    throw new CacheError('POLICY', `${coordinate} is cached, but its schema was not given to cache.bind()`);
  }
  loads.enter(info);
  return loads;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
