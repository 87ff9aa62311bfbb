/**
 * Decides whether an operation may run, and charges it. Its sender must be authenticated, and it must cost no more than
 * the limit.
 */
import type { ApolloServerPlugin } from '@apollo/server';
import type { GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { badUserInput, noSuchOperation } from '../../graphql/errors.js';
import { headersOf, type RateLimits } from '../rate-limit/rate-limit.js';
import type { AcceptedOperation, RequestContext } from '../request-context.js';
import { assertCostLimit, type CostOf, type CostRequest, costsOf, type Timed } from './cost.js';
import { type Documents, isIntrospectionOperation, noToken } from './documents.js';

export interface OperationGateOptions {
  readonly schema: GraphQLSchema;
  readonly documents: Documents;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
}

/** An operation of a valid document, with what the client sent for it. */
export interface RequestedOperation extends CostRequest {
  readonly operationName: string | null | undefined;
}

/** Undefined: the document has no operation of that name. */
type Found = Omit<RequestedOperation, 'operation'> & { readonly operation: OperationDefinitionNode | undefined };
/** A promise if computing it waits for an event-loop tick. */
type Cost = number | Promise<number>;

interface PricedOperation {
  readonly name: string | undefined;
  readonly type: AcceptedOperation['type'];
  readonly cost: Cost;
}

/** The points of an operation that is refused before its cost is known. */
const REFUSED_COST = 1;

export function operationPlugin(gate: OperationGate): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: ({ document, operation, request: { operationName, variables }, contextValue }) =>
        gate.decide({ document, operation, operationName, variables }, contextValue),
    }),
  };
}

export class OperationGate {
  readonly #options: OperationGateOptions;
  readonly #costOf: CostOf;

  constructor(options: OperationGateOptions) {
    this.#options = options;
    this.#costOf = costsOf(options.schema);
  }

  /** Decides once for each request. @throws why the operation does not run */
  decide(found: Found, context: RequestContext): Promise<void> {
    context.outcome.decided ??= this.#decide(found, context);
    return context.outcome.decided;
  }

  async #decide(found: Found, context: RequestContext): Promise<void> {
    context.span?.operation(found, context.sender.caller);
    let priced: PricedOperation;
    try {
      priced = this.#priced(found, context);
    } catch (refusal) {
      await this.#charge(context, REFUSED_COST).catch(() => {}); // the refusal is reported
      throw refusal;
    }
    await Promise.all([this.#accept(context, priced), this.#charge(context, priced.cost)]);
  }

  /** @throws why the operation may not run, whatever it costs */
  #priced({ document, operation, operationName, variables }: Found, { sender }: RequestContext): PricedOperation {
    if (operation === undefined) throw noSuchOperation(operationName ?? undefined);
    // Also applies to a registered document, which is named without its text.
    if (sender.identity === undefined && !isIntrospectionOperation(operation)) throw noToken();
    const { operation: type, name } = operation;
    if (type === 'subscription') {
      throw badUserInput('query', 'expected a query or mutation: subscriptions go over a WebSocket', 400);
    }
    const timed: Timed = (work) => this.#options.documents.timed(sender, work, { wait: true });
    return { name: name?.value, type, cost: this.#costOf({ document, operation, variables }, timed) };
  }

  async #accept(context: RequestContext, { name, type, cost: costing }: PricedOperation): Promise<void> {
    const cost = typeof costing === 'number' ? costing : await costing;
    assertCostLimit(cost);
    context.outcome.operation = { name, type, cost };
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
