/**
 * Runs operations. By default each value of an answer was the committed value at some moment while the request ran.
 * With the header `x-consistency: snapshot` all values of a query are from one moment: everything a run has read is
 * validated together at its end. Invalid entries are dropped and the operation runs again. The last attempt reads
 * everything in one Postgres transaction. Each run costs its points.
 *
 * Implemented as a gateway because Apollo lets only gateways run an operation more than once.
 */
import type { GatewayExecutor, GatewayInterface } from '@apollo/server-gateway-interface';
import { type ExecutionResult, execute as executeGraphql, type GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { UserId } from '../../db/ids.js';
import type { Cache, MaybePromise, ReadSet } from '../../engine/cache/index.js';
import type { Database, MainDatabase } from '../../engine/postgres/index.js';
import type { Loads, MakeLoads } from '../../graphql/context.js';
import { badVariable, isUnauthenticated } from '../../graphql/errors.js';
import { writesAsMember } from '../../graphql/writes-as-member.js';
import type { AcceptedOperation, RequestContext } from '../request-context.js';
import { CompiledQueries } from './compiled-query.js';
import type { LargeResponses } from './large-responses.js';
import type { RequestedOperation } from './operation-plugin.js';
import { bytesOf, ResponseSize, ResponseTooLarge } from './response-size.js';

/** Maximum number of runs from the cache. */
const MAX_RUNS = 3;

/** `extensions.consistency`, if snapshot consistency was requested. */
export interface Consistency {
  readonly mode: 'snapshot';
  readonly source: 'cache' | 'database';
  readonly runs: number;
}

type Run = () => Promise<ExecutionResult>;

/** Some 100 bytes each. */
const MAX_VIEWERS = 10_000;

export interface ExecutorOptions extends Sources, ViewerChecks {
  readonly production: boolean;
  readonly maxResponseBytes: number;
  readonly large: LargeResponses;
}

/** A token can outlive its user. */
export interface ViewerChecks {
  /** For mutations and live queries. @throws UNAUTHENTICATED if the user does not exist or is deactivated */
  readonly requireUser: (loads: Loads, id: UserId) => Promise<void>;
  /** For all other operations: a user who does not exist sees nothing. @throws UNAUTHENTICATED */
  readonly refuseDeactivated: (loads: Loads, id: UserId) => MaybePromise<void>;
}

/** Apollo's way to the executor. */
export function executorGateway(schema: GraphQLSchema, executor: OperationExecutor): GatewayInterface {
  const execute: GatewayExecutor = ({ document, operation, request: { operationName, variables }, context }) =>
    // The context was made by http/endpoint.ts.
    executor.execute({ document, operation, operationName, variables }, context as RequestContext);
  return {
    onSchemaLoadOrUpdate(tell) {
      tell({ apiSchema: schema, coreSupergraphSdl: '' });
      return () => {};
    },
    load: async () => ({ executor: execute }),
    stop: async () => {},
  };
}

export class OperationExecutor {
  readonly #schema: GraphQLSchema;
  readonly #options: ExecutorOptions;
  readonly #sources: Sources;
  readonly #queries: CompiledQueries;
  /** Viewers who have been checked: a guess whose rows memory holds. */
  readonly #inMemory = new LRUCache<UserId, true>({ max: MAX_VIEWERS });

  constructor(schema: GraphQLSchema, options: ExecutorOptions) {
    this.#schema = schema;
    this.#options = options;
    this.#sources = { cache: options.cache, db: options.db, makeLoads: options.makeLoads };
    this.#queries = new CompiledQueries(schema);
  }

  /** Runs the operation once for each request. */
  execute(request: RequestedOperation, context: RequestContext): Promise<ExecutionResult> {
    context.outcome.result ??= this.#execute(request, context);
    return context.outcome.result;
  }

  async #execute(request: RequestedOperation, context: RequestContext): Promise<ExecutionResult> {
    // A run that continues after the abort gets no more loads; a mutation finishes what it has begun.
    return blamed(await context.lifetime.until(this.#run(request, context)));
  }

  #run(request: RequestedOperation, context: RequestContext): Promise<ExecutionResult> {
    const isQuery = request.operation.operation === 'query';
    // After a bailout the query runs again, which a mutation must not, and mutations do not spend their time here.
    // A trace needs the path of each field.
    const run: Run =
      isQuery && !context.tracer.enabled
        ? () => this.#runCompiled(request, context)
        : () => this.#interpret(request, context);
    if (!isQuery) return this.#mutate(run, request, context);
    const admitted = () => this.#runAdmitted(run, context);
    return context.snapshot ? runSnapshot(admitted, context, this.#sources) : runOnce(admitted, context, this.#sources);
  }

  /** Where memory is likely to hold the viewer's row, the viewer is checked after the run, which proves what memory holds. */
  async #runAdmitted(run: Run, context: RequestContext): Promise<ExecutionResult> {
    const { viewerId, sender } = context;
    if (sender.identity === undefined) return run(); // introspection
    if (!this.#inMemory.has(viewerId)) return this.#runWhileChecking(run, context);
    const result = await run();
    const checking = this.#options.refuseDeactivated(context.loaders, viewerId);
    if (checking !== undefined) await checked(checking, result);
    return result;
  }

  /** The check is in the run's first round trip. */
  async #runWhileChecking(run: Run, { loaders, viewerId }: RequestContext): Promise<ExecutionResult> {
    const checking = (async () => this.#options.refuseDeactivated(loaders, viewerId))();
    checking.catch(() => {}); // until it is awaited
    const result = await run();
    await checked(checking, result);
    if (this.#sources.cache.memory.maxBytes > 0) this.#inMemory.set(viewerId, true);
    return result;
  }

  /** Its fields are read from Postgres: they show its outcome, and nothing of it is cached. */
  async #mutate(run: Run, { operation }: RequestedOperation, context: RequestContext): Promise<ExecutionResult> {
    const proves = writesAsMember(this.#schema, operation);
    if (!proves) await this.#requireUser(context);
    context.loaders = loadsOf(context, { ...this.#sources, bypass: 'mutation' });
    context.outcome.from = 'bypassed';
    void context.signal; // the write may wait for rows that others hold
    const result = await run();
    if (!proves || context.writes.effective) return result;
    try {
      await this.#requireUser(context);
    } catch (error) {
      // What went wrong with the write matters more than that the user cannot be read now.
      if (result.errors === undefined || isUnauthenticated(error)) throw error;
    }
    return result;
  }

  #requireUser(context: RequestContext): Promise<void> {
    const { readSet, viewerId } = context;
    return this.#options.requireUser(loadsOf(context, { ...this.#sources, readSet }), viewerId);
  }

  async #interpret(
    { document, variables, operation, operationName }: RequestedOperation,
    context: RequestContext,
  ): Promise<ExecutionResult> {
    const { production, maxResponseBytes, large } = this.#options;
    const result = await executeGraphql({
      schema: this.#schema,
      document,
      contextValue: context,
      variableValues: variables,
      operationName,
      hideSuggestions: production,
    });
    const bytes = bytesOf(result.data, maxResponseBytes);
    if (bytes === undefined) throw new ResponseTooLarge(maxResponseBytes, operation.operation);
    large.note(result.data, bytes, context.viewerId);
    return result;
  }

  async #runCompiled(request: RequestedOperation, context: RequestContext): Promise<ExecutionResult> {
    const size = new ResponseSize(this.#options.maxResponseBytes);
    const { snapshot, readSet, viewerId: viewer } = context;
    const parts = snapshot ? undefined : this.#options.cache.parts(readSet);
    return this.#queries.run(request, context, { size, parts, viewer }).then(
      (data) => {
        this.#options.large.note(data, size.bytes, context.viewerId);
        return { data };
      },
      (reason) => {
        context.lifetime.throwIfOver();
        if (reason instanceof ResponseTooLarge) throw reason; // graphql-js would build the answer again
        return this.#interpret(request, context);
      },
    );
  }
}

interface Sources {
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly makeLoads: MakeLoads;
}

async function runOnce(run: Run, context: RequestContext, sources: Sources): Promise<ExecutionResult> {
  context.loaders = loadsOf(context, { ...sources, readSet: context.readSet });
  const result = await run();
  noteReads(context, context.readSet);
  if (result.errors === undefined) context.outcome.answered = true;
  return result;
}

function noteReads({ outcome, loaders }: RequestContext, { from, policiesLoaded }: ReadSet): void {
  outcome.from = from;
  outcome.policiesRead = loaders.policiesRead;
  outcome.policiesLoaded = policiesLoaded;
}

async function runSnapshot(run: Run, context: RequestContext, sources: Sources): Promise<ExecutionResult> {
  const { cache, db } = sources;
  const { cost } = context.outcome.operation as AcceptedOperation; // it runs
  let runs = 1;
  for (; runs <= MAX_RUNS; runs++) {
    if (runs > 1) await context.charge(cost);
    const readSet = cache.readSet({ snapshot: true });
    context.loaders = loadsOf(context, { ...sources, readSet });
    const result = await run();
    noteReads(context, readSet);
    // Errors are also reported only by a valid run: mixed data may have caused them.
    if (await cache.validate(readSet)) return withConsistency(result, { mode: 'snapshot', source: 'cache', runs });
    if (readSet.unverifiable) break; // fenced or without a lease: another run now would not help
  }
  await context.charge(cost);
  context.outcome.from = 'bypassed';
  const inTransaction = async (at: Database) => {
    context.loaders = loadsOf(context, { ...sources, db: at, bypass: 'snapshot' });
    return withConsistency(await run(), { mode: 'snapshot', source: 'database', runs: Math.min(runs, MAX_RUNS) + 1 });
  };
  const { viewerId: viewer, signal } = context;
  return cache.loadPast({ viewer, signal, heavy: true }, () => db.snapshot(inTransaction, signal));
}

function loadsOf(
  context: RequestContext,
  from: Omit<Sources, 'db'> & { db: Database; readSet?: ReadSet; bypass?: 'snapshot' | 'mutation' },
): Loads {
  const { viewerId: viewer, tracer } = context;
  return from.makeLoads({ ...from, viewer, tracer, caller: context });
}

function withConsistency(result: ExecutionResult, consistency: Consistency): ExecutionResult {
  return { ...result, extensions: { ...result.extensions, consistency } };
}

/** If nothing ran, the variables were invalid. */
function blamed(result: ExecutionResult): ExecutionResult {
  if (result.data !== undefined || result.errors === undefined) return result;
  return { ...result, errors: result.errors.map(badVariable) };
}

/** What makes the check fail has failed a run that shows nothing, too, whose result shows where. */
async function checked(checking: Promise<void>, result: ExecutionResult): Promise<void> {
  try {
    await checking;
  } catch (error) {
    if (result.data || isUnauthenticated(error)) throw error;
  }
}
