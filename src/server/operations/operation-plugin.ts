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
import { assertCostLimit, type CostOf, costsOf, type Timed } from './cost.js';
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

interface PricedOperation {
  readonly type: AcceptedOperation['type'];
  readonly cost: Cost;
}

/** The points of an operation that is refused before its cost is known. */
const REFUSED_COST = 1;

export function operationPlugin(options: OperationPluginOptions): ApolloServerPlugin<RequestContext> {
  const gate = new OperationGate(options);
  return { requestDidStart: async () => ({ didResolveOperation: (at) => gate.decide(at) }) };
}

class OperationGate {
  readonly #options: OperationPluginOptions;
  readonly #costOf: CostOf;

  constructor(options: OperationPluginOptions) {
    this.#options = options;
    this.#costOf = costsOf(options.schema);
  }

  /** @throws why the operation does not run */
  async decide(at: Resolved): Promise<void> {
    const { contextValue: context } = at;
    let priced: PricedOperation;
    try {
      priced = this.#priced(at);
    } catch (refusal) {
      await this.#charge(context, REFUSED_COST).catch(() => {}); // the refusal is reported
      throw refusal;
    }
    await Promise.all([this.#accept(context, priced), this.#charge(context, priced.cost)]);
  }

  /** @throws why the operation may not run, whatever it costs */
  #priced({ document, operation, request, contextValue: { sender } }: Resolved): PricedOperation {
    if (operation === undefined) throw noSuchOperation(request.operationName);
    // Also applies to a registered document, which is named without its text.
    if (sender.identity === undefined && !isIntrospectionOperation(operation)) throw noToken();
    const { operation: type } = operation;
    if (type === 'subscription') {
      throw badUserInput('query', 'expected a query or mutation: subscriptions go over a WebSocket', 400);
    }
    const asked = { document, operation, variables: request.variables };
    const timed: Timed = (work) => this.#options.documents.timed(sender, work, { wait: true });
    return { type, cost: this.#costOf(asked, timed) };
  }

  async #accept(context: RequestContext, { type, cost: costing }: PricedOperation): Promise<void> {
    const cost = typeof costing === 'number' ? costing : await costing;
    assertCostLimit(cost);
    context.outcome.operation = { type, cost };
    if (type !== 'mutation') return;
    const { viewerId, readSet, tracer, signal } = context;
    const loads = new Loads({ ...this.#options, viewer: viewerId, readSet, tracer, signal });
    await this.#options.requireUser(loads, viewerId);
  }

  async #charge({ outcome, sender }: RequestContext, cost: Cost): Promise<void> {
    const { rateLimits } = this.#options;
    if (rateLimits !== undefined) outcome.rateLimit = await rateLimits.charge(sender.caller, cost);
  }
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
