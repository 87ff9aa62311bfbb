/**
 * Decides whether an operation may run, and charges it. Its sender must be authenticated, it must cost no more than the
 * limit, and the user who writes must still exist.
 */
import type { ApolloServerPlugin, GraphQLRequestContextDidResolveOperation } from '@apollo/server';
import type { GraphQLSchema } from 'graphql';
import type { UserId } from '../../db/ids.js';
import type { Cache } from '../../engine/cache/index.js';
import type { MainDatabase } from '../../engine/postgres/index.js';
import { Loads } from '../../graphql/context.js';
import { badUserInput, noSuchOperation } from '../../graphql/errors.js';
import { headersOf, type RateLimits } from '../rate-limit/rate-limit.js';
import type { AcceptedOperation, RequestContext } from '../request-context.js';
import { assertCostLimit, costsOf } from './cost.js';
import { type Documents, isIntrospectionOperation, noToken } from './documents.js';

export interface OperationPluginOptions {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly documents: Documents;
  /** Called before a write, because a token can outlive its user. @throws UNAUTHENTICATED */
  readonly requireUser: (loads: Loads, id: UserId) => Promise<void>;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
}

type Resolved = GraphQLRequestContextDidResolveOperation<RequestContext>;
/** A promise if computing it waits for an event-loop tick. */
type Cost = number | Promise<number>;

/** The points of an operation that is refused before its cost is known. */
const REFUSED_COST = 1;

export function operationPlugin(options: OperationPluginOptions): ApolloServerPlugin<RequestContext> {
  const costOf = costsOf(options.schema);
  const { documents, rateLimits } = options;

  /** @throws why the operation may not run */
  function costOfRunnable({ document, operation, request, contextValue: { sender } }: Resolved) {
    if (operation === undefined) throw noSuchOperation(request.operationName);
    // Also applies to a registered document, which is named without its text.
    if (sender.identity === undefined && !isIntrospectionOperation(operation)) throw noToken();
    const { operation: type } = operation;
    if (type === 'subscription') {
      throw badUserInput('query', 'expected a query or mutation: subscriptions go over a WebSocket', 400);
    }
    const asked = { document, operation, variables: request.variables };
    return { type, cost: costOf(asked, (work) => documents.timed(sender, work, { wait: true })) };
  }

  async function accept(context: RequestContext, type: AcceptedOperation['type'], costing: Cost): Promise<void> {
    const cost = typeof costing === 'number' ? costing : await costing;
    assertCostLimit(cost);
    context.outcome.operation = { type, cost };
    if (type !== 'mutation') return;
    const { viewerId, readSet, tracer, signal } = context;
    await options.requireUser(new Loads({ ...options, viewer: viewerId, readSet, tracer, signal }), viewerId);
  }

  async function charge({ outcome, sender }: RequestContext, cost: Cost): Promise<void> {
    if (rateLimits !== undefined) outcome.rateLimit = await rateLimits.charge(sender.caller, cost);
  }

  async function decide(at: Resolved): Promise<void> {
    const { contextValue: context } = at;
    let runnable: ReturnType<typeof costOfRunnable>;
    try {
      runnable = costOfRunnable(at);
    } catch (refusal) {
      await charge(context, REFUSED_COST).catch(() => {}); // the refusal is reported
      throw refusal;
    }
    const { type, cost } = runnable;
    await Promise.all([accept(context, type, cost), charge(context, cost)]);
  }

  return { requestDidStart: async () => ({ didResolveOperation: decide }) };
}

/** Adds the caller's rate limit to every response of a request that was charged. */
export const rateLimitHeaders: ApolloServerPlugin<RequestContext> = {
  requestDidStart: async () => ({
    willSendResponse: async ({ response, contextValue: { outcome } }) => {
      if (outcome.rateLimit === undefined) return;
      for (const [name, value] of headersOf(outcome.rateLimit)) response.http.headers.set(name, value);
    },
  }),
};
