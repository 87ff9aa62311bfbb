/**
 * Answers queries that came over a WebSocket or for server-sent events: once, or as a live query. The text of an answer
 * is that of the response to the same query by POST, byte for byte.
 */
import { randomUUID } from 'node:crypto';
import type { ExecutionResult, GraphQLError, GraphQLFormattedError } from 'graphql';
import type { UserId } from '../../db/ids.js';
import type { Cache, ReadSet } from '../../engine/cache/index.js';
import { Tracer } from '../../engine/graphql/index.js';
import type { MainDatabase } from '../../engine/postgres/index.js';
import type { Loads, MakeLoads } from '../../graphql/context.js';
import { asGraphQLError, type ErrorMask, INTERNAL } from '../../graphql/errors.js';
import type { Identity } from '../../graphql/identity.js';
import type { LiveArguments } from '../../graphql/live-directive.js';
import type { RateState } from '../../graphql/rate-state.js';
import { clientGone, RequestLifetime, type Waiting } from '../http/request-lifetime.js';
import type { OperationExecutor } from '../operations/executor.js';
import type { LargeResponses } from '../operations/large-responses.js';
import type { RequestedOperation } from '../operations/operation-plugin.js';
import type { Turns } from '../operations/turns.js';
import type { RateLimits } from '../rate-limit/rate-limit.js';
import { emptyOutcome, RequestContext } from '../request-context.js';

/** A query that may run: its document is valid, its cost within the limit and paid for. */
export interface AcceptedQuery {
  readonly operation: RequestedOperation;
  readonly identity: Identity;
  /** The caller that is charged: see rate-limit.ts. */
  readonly caller: string;
  /** In points. */
  readonly cost: number;
  /** After the query was paid for. Absent without a rate limit. */
  readonly rateLimit: RateState | undefined;
  /** Absent: it is answered once. */
  readonly live: LiveArguments | undefined;
}

/** An answer that is not text yet. */
export interface QueryAnswer {
  readonly result: ExecutionResult;
  /** Names the run in the log, and in masked errors. */
  readonly requestId: string;
}

export interface QueryAnswersOptions {
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly makeLoads: MakeLoads;
  readonly executor: OperationExecutor;
  readonly large: LargeResponses;
  readonly mask: ErrorMask;
  readonly turns: Turns;
  readonly rateLimits?: RateLimits | undefined;
  /** @throws UNAUTHENTICATED */
  readonly requireUser: (loads: Loads, id: UserId) => Promise<void>;
  /** Time limit of one answer. Default: ANSWER_TIMEOUT_MS. */
  readonly answerTimeoutMs?: number | undefined;
}

/** What one run reads through, and how long its answer is waited for. */
export interface QueryRun {
  readonly readSet: ReadSet;
  readonly signal: AbortSignal;
  /** Whether what it finds to do is charged: later runs of a live query have their own points (live-points.ts). */
  readonly isFirst: boolean;
}

const UNTRACED = new Tracer(false);

export class QueryAnswers {
  readonly #options: QueryAnswersOptions;

  constructor(options: QueryAnswersOptions) {
    this.#options = options;
  }

  /** Runs the query when it is its viewer's turn. All errors are in the result. */
  run(query: AcceptedQuery, run: QueryRun): Promise<QueryAnswer> {
    const { turns, cache } = this.#options;
    return turns.run(query.identity.userId, query.cost, () => {
      cache.renew(run.readSet); // so that it reads what was written while it waited
      return this.#run(query, run);
    });
  }

  async #run({ operation, identity, caller, rateLimit }: AcceptedQuery, run: QueryRun): Promise<QueryAnswer> {
    const { executor, rateLimits, answerTimeoutMs } = this.#options;
    const requestId = randomUUID();
    if (run.signal.aborted) return { result: { errors: [clientGone()] }, requestId };
    const waited = waitedFor(run.signal);
    const context = new RequestContext({
      sender: { identity, caller },
      readSet: run.readSet,
      outcome: { ...emptyOutcome(), rateLimit },
      tracer: UNTRACED,
      snapshot: false,
      lifetime: new RequestLifetime(waited.waiting, answerTimeoutMs),
      rateLimits: run.isFirst ? rateLimits : undefined,
      request: { id: requestId },
    });
    try {
      return { result: await executor.execute(operation, context), requestId };
    } catch (error) {
      return { result: { errors: [asGraphQLError(error)] }, requestId };
    } finally {
      waited.end();
    }
  }

  /**
   * Checks within the run that the viewer exists: a token can outlive its user. @throws UNAUTHENTICATED; what Postgres
   * fails with
   */
  async requireUser({ identity: { userId } }: AcceptedQuery, { readSet, signal }: QueryRun): Promise<void> {
    const { cache, db, makeLoads, requireUser } = this.#options;
    const loads = makeLoads({ cache, db, viewer: userId, tracer: UNTRACED, caller: { signal }, readSet });
    await requireUser(loads, userId);
  }

  /** @returns the body of the response by POST; that of an error, if the answer is too large, for example */
  async write({ result, requestId }: QueryAnswer): Promise<string> {
    const { large } = this.#options;
    try {
      return await large.stringify(this.#formatted(result, requestId));
    } catch (error) {
      return JSON.stringify(this.#formatted({ errors: [asGraphQLError(error)] }, requestId));
    }
  }

  #formatted({ errors, ...result }: ExecutionResult, requestId: string): object {
    if (errors === undefined) return result;
    const { mask } = this.#options;
    mask.note(errors, requestId);
    return { errors: errors.map((error) => mask.format(formatted(error), error)), ...result };
  }
}

/** Formats errors as Apollo Server does: without what is meant for HTTP, and with a code. */
function formatted(error: GraphQLError): GraphQLFormattedError {
  const { http: _, ...extensions } = error.extensions;
  return { ...error.toJSON(), extensions: { ...extensions, code: extensions['code'] ?? INTERNAL } };
}

/** A run is waited for until `end` is called, or until the signal aborts. */
function waitedFor(signal: AbortSignal): { waiting: Waiting; end: () => void } {
  let end = () => {};
  const waiting: Waiting = (over) => {
    const aborted = () => over(clientGone());
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    end = () => {
      signal.removeEventListener('abort', aborted);
      over();
    };
  };
  return { waiting, end: () => end() };
}
