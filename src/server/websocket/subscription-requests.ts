/**
 * Handles what a connected client subscribes to: validates it like a query over HTTP, checks the limits of connection
 * and viewer, charges it, and runs it as a stream of events, or of answers if it is a query.
 */
import { randomUUID } from 'node:crypto';
import { type ExecutionArgs, GraphQLError, type GraphQLSchema, getOperationAST, getVariableValues } from 'graphql';
import type { Cache } from '../../engine/cache/index.js';
import { Tracer } from '../../engine/graphql/index.js';
import type { Availability, MainDatabase } from '../../engine/postgres/index.js';
import { isUnavailable } from '../../engine/postgres/index.js';
import type { SubscriptionContext } from '../../graphql/context.js';
import { Loads } from '../../graphql/context.js';
import { badVariable, noSuchOperation } from '../../graphql/errors.js';
import { EventQueue } from '../../graphql/event-queue.js';
import type { Identity } from '../../graphql/identity.js';
import { liveArguments } from '../../graphql/live-directive.js';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import type { AnswerStream } from '../live/answer-stream.js';
import type { AcceptedQuery } from '../live/query-answers.js';
import type { QueryStreams } from '../live/query-streams.js';
import type { SendQueue } from '../live/send-queue.js';
import { assertCostLimit, type CostOf, costsOf } from '../operations/cost.js';
import type { Documents } from '../operations/documents.js';
import type { ViewerChecks } from '../operations/executor.js';
import type { PersistedDocuments } from '../operations/persisted-documents.js';
import type { Turns } from '../operations/turns.js';
import { callerOf, type RateLimits } from '../rate-limit/rate-limit.js';
import { CLOSE, type Ending } from './close-codes.js';
import { type OperationSlot, OperationSlots } from './operation-slots.js';
import { openEvents } from './subscription-events.js';
import { type SubscriptionSpan, subscriptionSpans } from './subscription-spans.js';

/** Maximum number of variable errors in one refusal, as in graphql-js. */
const MAX_FAULTS = 50;

/** A connection on which a client subscribes: a WebSocket, or a stream of server-sent events. */
export interface Subscriber {
  /** Network address of the client. Absent: its request was counted by address before. */
  readonly address?: string;
  /** Aborts when the connection has ended. */
  readonly signal: AbortSignal;
  readonly end: (why: Ending) => void;
  readonly sendQueue: SendQueue;
  readonly identity?: Identity;
  /** The payload of its `connection_init`. */
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  /** Number of its operations: subscriptions and queries that are open or being accepted. */
  subscriptions: number;
}

/** What a client subscribes to. */
export interface SubscribePayload {
  readonly query: unknown;
  readonly operationName?: string | null | undefined;
  readonly variables?: Record<string, unknown> | null | undefined;
}

/** An operation that may run. It counts among those of its viewer until it is released. */
export type Accepted =
  | { readonly kind: 'subscription'; readonly args: ExecutionArgs }
  | {
      readonly kind: 'query';
      readonly args: ExecutionArgs;
      readonly query: AcceptedQuery;
      readonly release: () => void;
    };

export interface SubscriptionRequestOptions extends Pick<ViewerChecks, 'refuseDeactivated'> {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly availability: Availability;
  /** Errors must not reveal the schema to clients. */
  readonly production: boolean;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
  readonly documents: Documents;
  readonly queries: QueryStreams;
  /** Where events wait for their viewer's turn. */
  readonly turns: Turns;
  /** Absent: clients send any document. */
  readonly listed?: PersistedDocuments | undefined;
}

/** The context of one subscription, with what its stream needs. */
interface RunningContext extends SubscriptionContext {
  loaders: Loads;
  /** In points, of each event. */
  readonly cost: number;
  readonly release: () => void;
  /** Absent: nothing records spans. */
  readonly span: SubscriptionSpan | undefined;
}

/** An operation that is being accepted. */
interface Acceptance {
  readonly slot: OperationSlot;
  readonly span: SubscriptionSpan | undefined;
}

export class SubscriptionRequests {
  readonly #options: SubscriptionRequestOptions;
  readonly #limits: SubscriptionLimits;
  readonly #costOf: CostOf;
  readonly #turns: Turns;
  readonly #spans = subscriptionSpans();
  readonly #slots: OperationSlots;

  constructor(options: SubscriptionRequestOptions, limits: SubscriptionLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#slots = new OperationSlots(limits);
    this.#turns = options.turns;
    this.#costOf = costsOf(options.schema);
  }

  /** Subscriptions and queries that are open or being accepted. */
  get open(): number {
    return this.#slots.taken;
  }

  /** Accepts an operation for `run` or `answer`. @throws GraphQLError the refusal */
  async accept(subscriber: Subscriber, payload: SubscribePayload): Promise<Accepted | readonly GraphQLError[]> {
    // Before the first await, so that in a burst exactly the excess is refused.
    const slot = this.#slots.take(subscriber, (subscriber.identity as Identity).userId);
    const release = () => void (slot instanceof GraphQLError || slot.release());
    const span = this.#spans?.start(subscriber.params);
    const checked = async () => {
      // As over HTTP: also for requests that never become an operation.
      if (subscriber.address !== undefined) await this.#options.rateLimits?.checkAddress(subscriber.address);
      if (slot instanceof GraphQLError) throw slot;
      return this.#checked(subscriber, payload, { slot, span });
    };
    try {
      const accepted = await (span === undefined ? checked() : span.run(checked));
      if (!('kind' in accepted)) {
        release();
        span?.accepted(accepted);
      } else if (accepted.kind === 'query') span?.accepted(undefined);
      return accepted;
    } catch (error) {
      release();
      span?.accepted([error]);
      throw error;
    }
  }

  /** Runs an accepted subscription. */
  run(args: ExecutionArgs): ReturnType<typeof openEvents> {
    const { release, viewerId, cost, span, untilAvailable } = args.contextValue as RunningContext;
    return openEvents(args, {
      pay: () => this.#pay(viewerId, cost),
      inTurn: (work) => this.#turns.run(viewerId, cost, work),
      retrying: untilAvailable,
      executing: (work) => (span === undefined ? work() : span.event(work)),
      onOpened: (errors) => span?.accepted(errors),
      onEnd: release,
    });
  }

  /**
   * Answers an accepted query until its stream or the connection ends. Each answer is written to the client in a
   * message of its protocol.
   * @throws TOO_MANY_SUBSCRIPTIONS
   */
  answer(
    { query, release }: Accepted & { kind: 'query' },
    { sendQueue, signal, end }: Subscriber,
    message: (payload: string) => string,
  ): AnswerStream {
    try {
      const viewerGone = () => end(CLOSE.viewerGone);
      const stream = this.#options.queries.open(query, { sendQueue, message, onEnd: release, viewerGone });
      // graphql-ws ends one stream of each id, and a client may use an id again while it is being accepted.
      signal.addEventListener('abort', () => void stream.return(), { once: true, signal: stream.signal });
      if (signal.aborted) void stream.return();
      return stream;
    } catch (error) {
      release();
      throw error;
    }
  }

  async #checked(
    subscriber: Subscriber,
    payload: SubscribePayload,
    { slot, span }: Acceptance,
  ): Promise<Accepted | readonly GraphQLError[]> {
    const { schema, documents, rateLimits, production } = this.#options;
    const identity = subscriber.identity as Identity; // a connection without one cannot subscribe
    const caller = callerOf(identity, '');
    const sender = { caller, identity, hideSuggestions: production };
    const document = await this.#read(this.#textOf(payload), sender);
    if (Array.isArray(document)) return document;
    const operationName = payload.operationName || undefined;
    const operation = getOperationAST(document, operationName);
    if (!operation) throw noSuchOperation(operationName);
    if (operation.operation === 'mutation')
      throw refusal('BAD_REQUEST', 'Mutations go by HTTP: send this one by POST.');
    span?.operation({ document, operation }, caller);
    const variables = payload.variables ?? undefined;
    const asked = { document, operation, variables };
    const cost = await this.#costOf(asked, (work) => documents.timed(sender, work, { wait: true }));
    assertCostLimit(cost);
    slot.hold(document, variables);
    const rateLimit = await rateLimits?.consume(caller, cost);
    // `subscribe` reports invalid variables without a code, so they would count as internal errors.
    const definitions = operation.variableDefinitions ?? [];
    const read = getVariableValues(schema, definitions, variables ?? {}, {
      hideSuggestions: production,
      maxErrors: MAX_FAULTS,
    });
    if (read.errors !== undefined) return read.errors.map(badVariable);
    const args = { schema, document, operationName: operationName ?? null, variableValues: variables ?? null };
    if (operation.operation === 'subscription') {
      const contextValue = this.#contextOf(subscriber, cost, { slot, span });
      const { refuseDeactivated } = this.#options;
      await contextValue.untilAvailable(async () => refuseDeactivated(contextValue.loaders, identity.userId));
      return { kind: 'subscription', args: { ...args, contextValue } };
    }
    const live = liveArguments(operation, read.coerced);
    const query = { operation: { ...asked, operationName }, identity, caller, cost, rateLimit, live };
    return { kind: 'query', args, query, release: () => slot.release() };
  }

  #read(text: string, sender: Parameters<Documents['read']>[2]): ReturnType<Documents['read']> {
    const { schema, documents } = this.#options;
    const held = this.#slots.documentOf(text);
    return held === undefined ? documents.read(schema, text, sender) : Promise.resolve(held);
  }

  /** @throws BAD_REQUEST if it is no text; PERSISTED_DOCUMENT_REQUIRED */
  #textOf({ query }: SubscribePayload): string {
    const text = this.#options.listed?.textOf({ documentId: undefined, query }) ?? query;
    if (typeof text === 'string' && text !== '') return text;
    throw refusal('BAD_REQUEST', 'query: expected a GraphQL document as text');
  }

  /** @throws RATE_LIMITED, which says when to subscribe again */
  async #pay(viewerId: string, cost: number): Promise<void> {
    try {
      await this.#options.rateLimits?.consume(callerOf({ userId: viewerId }, ''), cost);
    } catch (error) {
      if (!(error instanceof GraphQLError) || error.extensions['code'] !== 'RATE_LIMITED') throw error;
      const { limit, remaining, resetAt } = error.extensions;
      const message =
        `An event costs ${cost} of ${limit} points, of which ${remaining} are left: subscribe again after ` +
        `${resetAt}, then refetch.`;
      throw new GraphQLError(message, { originalError: error, extensions: { ...error.extensions, cost } });
    }
  }

  #contextOf({ signal, identity, end }: Subscriber, cost: number, { slot, span }: Acceptance): RunningContext {
    const { cache, db } = this.#options;
    const { userId: viewerId, scopes } = identity as Identity; // a connection without an identity cannot subscribe
    const tracer = new Tracer(false);
    const loadsOf = (direct: boolean) =>
      new Loads({ cache, db, viewer: viewerId, tracer, caller: { signal }, ...(direct && { bypass: 'unapplied' }) });
    let renewedDirect = false;
    const context: RunningContext = {
      requestId: randomUUID(),
      viewerId,
      tracer,
      snapshot: false,
      cost,
      signal,
      loaders: loadsOf(false),
      markUncacheable: () => ({ scopes, rateLimit: undefined }), // events are not cached
      release: () => slot.release(),
      span,
      // Events of one subscription are executed one after the other, so none changes the loaders of another.
      renew({ direct }) {
        renewedDirect = direct;
        context.loaders = loadsOf(direct);
      },
      inTurn: (work) => this.#turns.run(viewerId, 1, work),
      untilAvailable: (work) =>
        // The loaders cache failed loads, so each further attempt has its own.
        this.#untilAvailable(work, { signal, end, again: () => context.renew({ direct: renewedDirect }) }),
      queue: () => new EventQueue({ maxItems: this.#limits.maxQueued, onFull: () => end(CLOSE.tooSlow) }),
    };
    return context;
  }

  /** @param again called before each attempt but the first */
  async #untilAvailable<T>(
    work: () => Promise<T>,
    { signal, end, again }: Pick<Subscriber, 'signal' | 'end'> & { again: () => void },
  ): Promise<T> {
    let attempts = 0;
    const attempt = () => {
      if (attempts++ > 0) again();
      return work();
    };
    try {
      return await this.#options.availability.retrying(attempt, signal);
    } catch (error) {
      // An error would end this subscription for good; a client whose connection is closed subscribes again by itself.
      if (isUnavailable(error)) end(CLOSE.tryAgain);
      throw error;
    }
  }
}

function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code, http: { status: 400 } } });
}
