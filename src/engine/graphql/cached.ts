/**
 * `@Cached` above a resolver method, in two forms:
 *
 *     @Cached({ ttlMs, scope, tags })     caches the method's result by its field, root and arguments
 *     @Cached(userById)                   the method returns an argument of a source (an id), the field is its value
 *
 * In both forms the policy is above the method, is part of the schema's extensions, and is checked when the schema is
 * built.
 *
 * In the first form the method and `tags` may use only those fields of the root that `key` reads (default: `id`). The
 * root was read earlier in the request than the tokens that the result is stored under, so its other fields may be old.
 * The method reads anything else through `context.loaders`. In development and tests any other field of the root
 * throws.
 */
import { type GraphQLFieldResolver, GraphQLObjectType, type GraphQLSchema, getNamedType, printType } from 'graphql';
import { Extensions, type MiddlewareFn, UseMiddleware } from 'type-graphql';
import { CacheError, checkPolicy, digest, type Policy, type Scope, type Tag } from '../cache/index.js';
import { fieldsRead, guardedRoot } from './guarded-root.js';
import type { RequestLoaders, Source } from './request-loaders.js';

export interface CachedPolicy<Root, Args> {
  readonly ttlMs: number;
  readonly negativeTtlMs?: number;
  readonly scope: Scope;
  /** Uses only root fields that `key` reads. */
  readonly tags: (root: Root, args: Args) => readonly Tag[];
  /**
   * The part of root and arguments that identifies the call. Default: the root's id and all arguments. The method may
   * use no other part of the root.
   */
  readonly key?: (root: Root, args: Args) => unknown;
  /** Raise it when the stored value changes in a way that the field's type does not show. */
  readonly version?: number;
  readonly maxChars?: number;
}

/** The extension of a cached field. */
interface CacheExtension {
  readonly declared: CachedPolicy<unknown, unknown> | Source<unknown, unknown, never>;
  /** Set by `bindPolicies`, except for a source: the policy of the method's results. */
  bound?: Policy<MethodCall>;
  /** In development and tests: returns the root as the method gets it. */
  guard?: (call: MethodCall) => unknown;
}

/** A call of a decorated method. */
interface MethodCall {
  readonly root: unknown;
  readonly args: unknown;
}

const EXTENSION = 'cache';

/** What a resolver's context must have. One for each request. */
export interface CacheContext {
  readonly loaders: Pick<RequestLoaders<never>, 'load' | 'read'>;
}

type Resolve = GraphQLFieldResolver<unknown, CacheContext>;

export function Cached<Root = unknown, Args = unknown>(policy: CachedPolicy<Root, Args>): MethodDecorator;
export function Cached<A, V>(source: Source<A, V, never>): MethodDecorator;
export function Cached(declared: CacheExtension['declared']): MethodDecorator {
  const extension: CacheExtension = { declared };
  return (target, name, descriptor) => {
    // A source uses `readThrough` instead: a middleware makes promises, and a value from memory needs none.
    if (!('load' in declared)) UseMiddleware(throughPolicy(extension))(target, name, descriptor);
    Extensions({ [EXTENSION]: extension })(target, name as string);
  };
}

/**
 * The method returns an argument of the source; the field is the source's value, without a promise if memory has it.
 */
function readThrough(source: Source<unknown, unknown, never>, method: Resolve): Resolve {
  return (root, args, context, info) => {
    const read = (arg: unknown) => (arg === null || arg === undefined ? null : context.loaders.load(source, arg));
    const arg: unknown = method(root, args, context, info);
    return arg instanceof Promise ? arg.then(read) : read(arg);
  };
}

function throughPolicy(extension: CacheExtension): MiddlewareFn<CacheContext> {
  return async (call, next) => {
    const { root, args, context } = call;
    const policy = extension.bound as Policy<MethodCall>;
    if (extension.guard !== undefined) call.root = extension.guard({ root, args });
    // type-graphql takes `undefined` from a middleware for "the method's own result".
    return (await context.loaders.read(policy, { root, args }, next)) ?? null;
  };
}

/** A row of the table of policies. */
export interface PolicyLine {
  /** The name in keys and traces. */
  readonly name: string;
  /** The fields that declare it. Sources may also be read elsewhere. */
  readonly fields: readonly string[];
  readonly ttlMs: number;
  readonly scope: Scope;
  readonly shape: string;
}

/**
 * Gives every cached field its name and shape, and checks its policy and those of all sources. Call it once for a built
 * schema, before execution. `guardRoots`: cached methods throw when they use other root fields than `key` reads.
 * @throws CacheError POLICY
 */
export function bindPolicies(
  schema: GraphQLSchema,
  sources: readonly Source<never, unknown, never>[],
  { guardRoots }: { guardRoots: boolean },
): PolicyLine[] {
  const fieldsOf = new Map<Policy<never>, string[]>(sources.map((source) => [source, []]));
  for (const type of Object.values(schema.getTypeMap())) {
    if (!(type instanceof GraphQLObjectType)) continue;
    for (const field of Object.values(type.getFields())) {
      const extension = field.extensions[EXTENSION] as CacheExtension | undefined;
      if (extension === undefined) continue;
      const coordinate = `${type.name}.${field.name}`;
      const { declared } = extension;
      if ('load' in declared)
        field.resolve = readThrough(declared, field.resolve as Resolve); // type-graphql's, of a method
      else {
        if (declared.key === undefined && !('id' in type.getFields()) && type !== schema.getQueryType()) {
          throw new CacheError('POLICY', `policy ${coordinate}: its type has no id, so it must declare a key`);
        }
        extension.bound = bind(coordinate, shapeOfField(field.type), declared);
        if (guardRoots) guard(coordinate, extension as Bound);
        else delete extension.guard; // classes may be built into another schema before
      }
      const policy = extension.bound ?? (declared as Source<unknown, unknown, never>);
      fieldsOf.set(policy, [...(fieldsOf.get(policy) ?? []), coordinate]);
    }
  }
  const lines = [...fieldsOf].map(([policy, fields]) => {
    checkPolicy(policy);
    const { name, ttlMs, scope, shape } = policy;
    return { name, fields, ttlMs, scope, shape };
  });
  const names = lines.map(({ name }) => name);
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) throw new CacheError('POLICY', `two policies are named ${double}`);
  return lines.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function bind(coordinate: string, shape: string, declared: CachedPolicy<unknown, unknown>): Policy<MethodCall> {
  const { tags, key, version, ...rest } = declared;
  return {
    ...rest,
    name: coordinate,
    shape: version === undefined ? shape : `${shape}.${version}`,
    tags: ({ root, args }) => tags(root, args),
    key: ({ root, args }) => (key === undefined ? [(root as { id?: unknown } | undefined)?.id, args] : key(root, args)),
  };
}

/** A cached method with a bound policy. */
interface Bound extends CacheExtension {
  bound: Policy<MethodCall>;
}

/** Makes the method and `tags` throw on root fields that `key` does not read. */
function guard(coordinate: string, extension: Bound): void {
  const { key = () => [], tags } = extension.bound;
  const guarded = ({ root, args }: MethodCall, reader: string) =>
    guardedRoot(
      root,
      reader,
      fieldsRead(root, (recorded) => key({ root: recorded, args })),
    );
  extension.guard = (call) => guarded(call, coordinate);
  extension.bound = {
    ...extension.bound,
    tags: (call) => tags({ ...call, root: guarded(call, `\`tags\` of ${coordinate}`) }),
  };
}

/** Eight characters that change with the text of the field's type. */
function shapeOfField(type: Parameters<typeof getNamedType>[0]): string {
  return digest(`${type} ${printType(getNamedType(type) as GraphQLObjectType)}`).slice(0, 8);
}
