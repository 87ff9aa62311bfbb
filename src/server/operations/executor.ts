/**
 * Runs an operation. By default each value of an answer is the database's at some moment while the request ran. A query with the
 * header `x-consistency: snapshot` gets the database of one moment: what the run was given is validated together at its end;
 * what no longer holds is dropped and the operation runs again; at last one transaction of Postgres answers it all. Each run costs its points.
 *
 * Apollo lets only a gateway run an operation more than once, so this is one.
 */
import type { GatewayInterface } from '@apollo/server-gateway-interface';
import { type ExecutionResult, execute, type GraphQLSchema } from 'graphql';
import { abortable, type Cache, type ReadSet } from '../../engine/cache/index.js';
import type { Database, MainDatabase } from '../../engine/postgres/index.js';
import type { Context } from '../../graphql/context.js';
import { Loads } from '../../graphql/context.js';
import { badVariable } from '../../graphql/errors.js';
import { CompiledQueries } from './compiled-query.js';
import type { LargeResponses } from './large-responses.js';
import { bytesOf, ResponseSize, ResponseTooLarge } from './response-size.js';

/** From the cache: the first run and at most two more. */
const MAX_RUNS = 3;

/** `extensions.consistency`, where there is something to tell. */
export interface Consistency {
  readonly mode: 'snapshot';
  readonly source: 'cache' | 'database';
  readonly runs: number;
}

type Run = (context: Context) => Promise<ExecutionResult>;

export function executorGateway(
  schema: GraphQLSchema,
  options: { cache: Cache; db: MainDatabase; production: boolean; maxResponseBytes: number; large: LargeResponses },
): GatewayInterface {
  const { cache, db, production, maxResponseBytes, large } = options;
  const queries = new CompiledQueries(schema);
  return {
    onSchemaLoadOrUpdate(tell) {
      tell({ apiSchema: schema, coreSupergraphSdl: '' });
      return () => {};
    },
    load: async () => ({
      async executor({ document, request, context, operation, operationName }) {
        const contextValue = context as Context; // by server.ts's `contextOf`
        const { variables } = request;
        const interpreted: Run = async () => {
          const result = await execute({
            schema,
            document,
            contextValue,
            variableValues: variables,
            operationName,
            hideSuggestions: production,
          });
          const bytes = bytesOf(result.data, maxResponseBytes);
          if (bytes === undefined) throw new ResponseTooLarge(maxResponseBytes, operation.operation);
          large.note(result.data, bytes, contextValue.viewerId);
          return result;
        };
        const compiled: Run = async () => {
          const size = new ResponseSize(maxResponseBytes);
          return queries.run({ document, operation, variables }, contextValue, size).then(
            (data) => {
              large.note(data, size.bytes, contextValue.viewerId);
              return { data };
            },
            (reason) => {
              contextValue.signal?.throwIfAborted();
              if (reason instanceof ResponseTooLarge) throw reason; // graphql-js would build it once more
              return interpreted(contextValue);
            },
          );
        };
        // What gave up is run again, which a write must not be, and its time is not spent here. A trace asks for the path of each field.
        const run = operation.operation === 'query' && !contextValue.tracer.enabled ? compiled : interpreted;
        const running = () => {
          if (operation.operation !== 'query') return run(contextValue);
          return contextValue.snapshot
            ? runSnapshot(run, contextValue, { cache, db })
            : runOnce(run, contextValue, cache, db);
        };
        // What runs on finds no more loads; a mutation ends what it has begun.
        return blamed(await abortable(running(), contextValue.signal));
      },
    }),
    stop: async () => {},
  };
}

async function runOnce(run: Run, context: Context, cache: Cache, db: Database): Promise<ExecutionResult> {
  const readSet = context.readSet ?? cache.readSet();
  context.loaders = loadsOf(context, { cache, db, readSet });
  const result = await run(context);
  if (result.errors === undefined) context.markCacheable?.();
  return result;
}

async function runSnapshot(
  run: Run,
  context: Context,
  { cache, db }: { cache: Cache; db: MainDatabase },
): Promise<ExecutionResult> {
  let runs = 1;
  for (; runs <= MAX_RUNS; runs++) {
    if (runs > 1) await context.charge?.(context.cost);
    const readSet = cache.readSet({ snapshot: true });
    context.loaders = loadsOf(context, { cache, db, readSet });
    const result = await run(context);
    // Errors, too, are only told of a run that holds: a torn answer may have made them.
    if (await cache.validate(readSet)) return told(result, { mode: 'snapshot', source: 'cache', runs });
    if (readSet.unverifiable) break; // under a fence or without a lease: no run will do better now
  }
  await context.charge?.(context.cost);
  const inTransaction = async (at: Database) => {
    context.loaders = loadsOf(context, { cache, db: at, bypass: 'snapshot' });
    return told(await run(context), { mode: 'snapshot', source: 'database', runs: Math.min(runs, MAX_RUNS) + 1 });
  };
  const { viewerId: viewer, signal } = context;
  return cache.loadPast({ viewer, signal, heavy: true }, () => db.snapshot(inTransaction, signal));
}

function loadsOf(
  { viewerId, tracer, signal }: Context,
  from: { cache: Cache; db: Database; readSet?: ReadSet; bypass?: 'snapshot' },
): Loads {
  return new Loads({ ...from, viewer: viewerId, tracer, signal });
}

function told(result: ExecutionResult, consistency: Consistency): ExecutionResult {
  return { ...result, extensions: { ...result.extensions, consistency } };
}

/** Where nothing ran, the variables were not acceptable. */
function blamed(result: ExecutionResult): ExecutionResult {
  if (result.data !== undefined || result.errors === undefined) return result;
  return { ...result, errors: result.errors.map(badVariable) };
}
