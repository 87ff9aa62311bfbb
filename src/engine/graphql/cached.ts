/**
 * `@Cached` above a resolver method, in two forms:
 *
 *     @Cached({ ttlMs, scope, tags })     caches the method's result by its field, root and arguments
 *     @Cached(userById)                   the method returns an argument of a source (an id), the field is its value
 *
 * In both forms the policy is above the method, is part of the schema's extensions, and is checked when the schema is
 * built.
 *
 * In the first form the method may use only those fields of its root that `key` reads (default: `id`); so may `tags`.
 * The root was read earlier in the request than the tokens that the result is stored under, so its other fields may be
 * old. What the method needs besides it reads through `context.loaders`, inside the method. In development and tests
 * any other field of the root throws.
 */
import {
  type GraphQLField,
  type GraphQLFieldResolver,
  GraphQLObjectType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  printType,
} from 'graphql';
import { CacheError, checkPolicy, digest, type Policy, type Scope, type Tag } from '../cache/index.js';
import { type CacheContext, guardsRoots, loadsOf } from './executions.js';
import { fieldsRead, guardedRoot } from './guarded-root.js';
import type { RequestLoaders, Source } from './request-loaders.js';
import { addExtensions, addMiddleware } from './type-graphql.js';

/** `never` may be given wherever a value of some type is expected. */
interface AnyRoot {
  readonly id: never;
}
type AnyArgs = Readonly<Record<string, never>>;

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

type Resolve = GraphQLFieldResolver<unknown, CacheContext>;

/** `Root` and `Args` default to an id, and arguments, of any type: say more where a policy looks at more. */
export function Cached<Root = AnyRoot, Args = AnyArgs>(policy: CachedPolicy<Root, Args>): MethodDecorator;
export function Cached<A, V>(source: Source<A, V, never>): MethodDecorator;
export function Cached(declared: CacheExtension['declared']): MethodDecorator {
  const extension: CacheExtension = { declared };
  return (target, name) => {
    const method = { target: target.constructor, fieldName: name as string };
    // Of a source, see `readThrough`: a middleware makes promises of its own, and a value from memory needs none.
    if (!('load' in declared)) {
      addMiddleware(method, async (call, next) => {
        const { root, args, context, info } = call;
        if (extension.guard !== undefined) call.root = extension.guard({ root, args });
        return throughPolicy(extension.bound as Policy<MethodCall>, { root, args }, loadsOf(context, info), next);
      });
    }
    addExtensions(method, { [EXTENSION]: extension });
  };
}

/**
 * A cached resolver for schemas without type-graphql, in the two forms of `@Cached`: with a policy, or with a source,
 * whose argument `resolve` then returns. The field that it resolves names what is cached; the schema must be given to
 * `cache.bind`. Its policy is checked when the field is first resolved, since tools that build schemas put functions of
 * their own around resolvers.
 * @throws CacheError POLICY, later
 */
export function cachedResolver<Root, Args, Context = unknown>(
  declared: CachedPolicy<Root, Args> | Source<never, unknown, never>,
  resolve: (root: Root, args: Args, context: Context, info: GraphQLResolveInfo) => unknown,
): GraphQLFieldResolver<Root, Context, Args> {
  const method = resolve as unknown as Resolve;
  if ('load' in declared) {
    return readThrough(declared as Source<unknown, unknown, never>, method) as unknown as GraphQLFieldResolver<
      Root,
      Context,
      Args
    >;
  }
  const policy = declared as CachedPolicy<unknown, unknown>;
  /** By schema and field: one resolver may be that of several. */
  const bindings = new WeakMap<object, Binding>();
  const cached: Resolve = (root, args, context, info) => {
    const loads = loadsOf(context, info);
    const field = info.parentType.getFields()[info.fieldName] as Field;
    let binding = bindings.get(field);
    if (binding === undefined) {
      binding = bindingOf(info.schema, info.parentType, field, policy, { guardRoots: guardsRoots(info.schema) });
      checkPolicy(binding.bound);
      bindings.set(field, binding);
    }
    const guarded = binding.guard?.({ root, args }) ?? root;
    return throughPolicy(binding.bound, { root, args }, loads, async () => method(guarded, args, context, info));
  };
  return cached as unknown as GraphQLFieldResolver<Root, Context, Args>;
}

/** The method names an argument of the source; the field is its value, at once where memory has it. */
function readThrough(source: Source<unknown, unknown, never>, method: Resolve): Resolve {
  return (root, args, context, info) => {
    const loads = loadsOf(context, info);
    const read = (arg: unknown) => (arg === null || arg === undefined ? null : loads.load(source, arg));
    const arg: unknown = method(root, args, context, info);
    return arg instanceof Promise ? arg.then(read) : read(arg);
  };
}

async function throughPolicy(
  policy: Policy<MethodCall>,
  call: MethodCall,
  loads: Pick<RequestLoaders<never>, 'read'>,
  next: () => Promise<unknown>,
): Promise<unknown> {
  // type-graphql takes `undefined` from a middleware for "what the method gave".
  return (await loads.read(policy, call, next)) ?? null;
}

/** A row of the table of policies. */
export interface PolicyLine {
  /** The name in keys and traces. */
  readonly name: string;
  /** The fields that declare it. Sources may also be read elsewhere. */
  readonly fields: readonly string[];
  readonly ttlMs: number;
  /** 0: never served stale. */
  readonly staleMs: number;
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
      if ('load' in declared) {
        field.resolve = readThrough(declared, field.resolve as Resolve); // type-graphql's, of a method
      } else {
        // Classes may have been built into another schema before.
        const { bound, guard } = bindingOf(schema, type, field, declared, { guardRoots });
        extension.bound = bound;
        if (guard === undefined) delete extension.guard;
        else extension.guard = guard;
      }
      const policy = extension.bound ?? (declared as Source<unknown, unknown, never>);
      fieldsOf.set(policy, [...(fieldsOf.get(policy) ?? []), coordinate]);
    }
  }
  const lines = [...fieldsOf].map(([policy, fields]) => {
    checkPolicy(policy);
    const { name, ttlMs, staleMs = 0, scope, shape } = policy;
    return { name, fields, ttlMs, staleMs, scope, shape };
  });
  const names = lines.map(({ name }) => name);
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) throw new CacheError('POLICY', `two policies are named ${double}`);
  return lines.sort((a, b) => (a.name < b.name ? -1 : 1));
}

type Field = GraphQLField<unknown, unknown>;

/** A policy under the name and shape of its field. */
interface Binding {
  readonly bound: Policy<MethodCall>;
  readonly guard?: (call: MethodCall) => unknown;
}

/** @throws CacheError POLICY when nothing tells the field's parents from each other */
function bindingOf(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  field: Field,
  declared: CachedPolicy<unknown, unknown>,
  { guardRoots }: { guardRoots: boolean },
): Binding {
  const coordinate = `${type.name}.${field.name}`;
  if (declared.key === undefined && !('id' in type.getFields()) && type !== schema.getQueryType()) {
    throw new CacheError('POLICY', `policy ${coordinate}: its type has no id, so it must declare a key`);
  }
  const bound = named(coordinate, shapeOfField(field.type), declared);
  return guardRoots ? guarded(coordinate, bound) : { bound };
}

function named(coordinate: string, shape: string, declared: CachedPolicy<unknown, unknown>): Policy<MethodCall> {
  const { tags, key, version, ...rest } = declared;
  return {
    ...rest,
    name: coordinate,
    shape: version === undefined ? shape : `${shape}.${version}`,
    tags: ({ root, args }) => tags(root, args),
    key: ({ root, args }) => (key === undefined ? [(root as { id?: unknown } | undefined)?.id, args] : key(root, args)),
  };
}

/** Method and `tags` throw on fields of the root that `key` does not read. */
function guarded(coordinate: string, policy: Policy<MethodCall>): Binding {
  const { key = () => [], tags } = policy;
  const guard = ({ root, args }: MethodCall, reader: string) =>
    guardedRoot(
      root,
      reader,
      fieldsRead(root, (recorded) => key({ root: recorded, args })),
    );
  return {
    guard: (call) => guard(call, coordinate),
    bound: { ...policy, tags: (call) => tags({ ...call, root: guard(call, `\`tags\` of ${coordinate}`) }) },
  };
}

/** Eight characters that change with the text of the field's type. */
function shapeOfField(type: Parameters<typeof getNamedType>[0]): string {
  return digest(`${type} ${printType(getNamedType(type) as GraphQLObjectType)}`).slice(0, 8);
}
