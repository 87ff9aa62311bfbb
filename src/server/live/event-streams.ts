/**
 * Server-sent events, for clients whose network has no WebSockets: a client sends an operation by POST, accepts
 * text/event-stream, and gets the results in the response, in the distinct connections mode of graphql-sse. The
 * response ends with the event `complete` when the operation has ended. It ends without one when the client should
 * connect again: its token has expired, it reads too slowly, or the process shuts down.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionResult, GraphQLError } from 'graphql';
import Negotiator from 'negotiator';
import { isUnavailable } from '../../engine/postgres/index.js';
import { asGraphQLError, badRequest, badUserInput, tooManyChanges } from '../../graphql/errors.js';
import { headerMap } from '../../graphql/http-headers.js';
import type { Identity } from '../../graphql/identity.js';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import type { Sender } from '../admission.js';
import { accepts, mediaTypeFor } from '../http/graphql-over-http.js';
import type { PipelinedResponses } from '../http/pipelined-responses.js';
import type { Full, refusalLog } from '../http/refusal-log.js';
import { noToken } from '../operations/documents.js';
import { CLOSE } from '../websocket/close-codes.js';
import type { ConnectionSlot, ConnectionSlots } from '../websocket/connection-slots.js';
import type { ResultForm } from '../websocket/result-form.js';
import type { SubscribePayload, SubscriptionRequests } from '../websocket/subscription-requests.js';
import { whenTokenEnds } from '../websocket/token-end.js';
import { EventResponse } from './event-response.js';
import type { StalledClients } from './stalled-clients.js';

const EVENTS = 'text/event-stream';
/** In order of preference for a client that accepts anything. */
const MEDIA_TYPES = ['application/json', 'application/graphql-response+json', EVENTS];
const RETRY_AFTER_SECONDS = 5;

/** Whether a client wants events rather than a response in JSON. */
export function wantsEvents({ method, headers: { accept } }: Pick<IncomingMessage, 'method' | 'headers'>): boolean {
  if (method !== 'POST' || !accepts(accept, EVENTS)) return false;
  return new Negotiator({ headers: { accept } }).mediaType(MEDIA_TYPES) === EVENTS;
}

export interface EventStreamsOptions {
  readonly requests: SubscriptionRequests;
  readonly slots: ConnectionSlots;
  readonly limits: SubscriptionLimits;
  readonly results: ResultForm;
  readonly stalled: StalledClients;
  readonly pipelined: PipelinedResponses;
  readonly logRefusal: ReturnType<typeof refusalLog>;
}

export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #open = new Set<EventResponse>();
  #closing = false;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
  }

  /** Responses that are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Answers a request of an admitted sender. @throws GraphQLError the refusal, before the response begins */
  async serve(request: FastifyRequest, reply: FastifyReply, { identity, caller }: Sender): Promise<unknown> {
    if (identity === undefined) throw noToken();
    if (this.#closing) throw goingAway();
    if (this.#options.pipelined.sharesConnection(reply.raw)) throw notAlone();
    const payload = payloadOf(request, this.#options.limits);
    const slot = this.#takeSlot(identity, request.ip);
    const events = new EventResponse(reply, { ...this.#options, caller });
    events.onClose(() => slot.release());
    try {
      return await this.#begin(payload, { identity, events, reply });
    } catch (error) {
      slot.release();
      throw isUnavailable(error) ? tryAgain(asGraphQLError(error)) : error;
    }
  }

  /** Ends all responses, without `complete`. */
  close(): void {
    this.#closing = true;
    for (const events of this.#open) events.end();
  }

  #takeSlot({ userId }: Identity, address: string): ConnectionSlot {
    const slot = this.#options.slots.takeFor(userId, address);
    if (typeof slot !== 'string') return slot;
    if (slot !== 'viewer') this.#options.logRefusal(slot, address);
    throw tooManyConnections(slot);
  }

  async #begin(
    payload: SubscribePayload,
    { identity, events, reply }: { identity: Identity; events: EventResponse; reply: FastifyReply },
  ): Promise<unknown> {
    const { requests } = this.#options;
    const { signal, sendQueue } = events;
    const end = () => events.end();
    const subscriber = { signal, end, sendQueue, identity, subscriptions: 0 };
    const accepted = await requests.accept(subscriber, payload);
    if (!('kind' in accepted)) return this.#refuse(reply, accepted);
    const begin = () => this.#opened(events, identity, reply);
    if (accepted.kind === 'query') {
      const answers = requests.answer(accepted, subscriber, eventOf);
      begin();
      void answers.next().then(() => events.complete());
      return reply;
    }
    const stream = await requests.run(accepted.args);
    if (!(Symbol.asyncIterator in stream)) return this.#refuse(reply, stream.errors ?? []);
    events.onClose(() => void stream.return?.());
    if (events.isOver) throw tryAgain(tooManyChanges()); // more than its queue takes have come meanwhile
    begin();
    void this.#sendEvents(events, stream);
    return reply;
  }

  #opened(events: EventResponse, identity: Identity, { raw }: FastifyReply): void {
    this.#options.pipelined.claimConnection(raw);
    this.#open.add(events);
    events.onClose(() => this.#open.delete(events));
    events.begin();
    events.onClose(whenTokenEnds(identity, () => events.end())); // it may have ended while the body arrived
    if (this.#closing) events.end();
  }

  async #sendEvents(events: EventResponse, stream: AsyncIterable<ExecutionResult>): Promise<void> {
    const { results } = this.#options;
    try {
      for await (const result of stream) {
        await events.sendEvent(eventOf(JSON.stringify(results.changed(result) ?? result)));
      }
    } catch (error) {
      const errors = [results.error(asGraphQLError(error))];
      await events.sendEvent(eventOf(JSON.stringify({ errors }))).catch(() => {}); // the client has gone
    }
    events.complete();
  }

  /** Refuses as by POST, in JSON, but always with status 400: the client sees by it that no events follow. */
  #refuse(reply: FastifyReply, errors: readonly GraphQLError[]): FastifyReply {
    const { results } = this.#options;
    reply.code(400).type(mediaTypeFor(undefined));
    return reply.send(JSON.stringify({ errors: errors.map(results.error) }));
  }
}

function eventOf(payload: string): string {
  return `event: next\ndata: ${payload}\n\n`;
}

/** @throws BAD_REQUEST if the body is too large or not an object; BAD_USER_INPUT */
function payloadOf({ body, headers }: FastifyRequest, { maxMessageBytes }: SubscriptionLimits): SubscribePayload {
  // As over a WebSocket: the payload stays in memory for as long as the client listens.
  const isShort = Number(headers['content-length']) <= maxMessageBytes;
  if (!isShort && Buffer.byteLength(JSON.stringify(body)) > maxMessageBytes) {
    throw badRequest(`expected a body of at most ${maxMessageBytes} bytes for ${EVENTS}`);
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badRequest('expected a JSON object with a query');
  }
  const { query, variables, operationName } = body as Record<string, unknown>;
  const isObject = typeof variables === 'object' && !Array.isArray(variables); // or null
  if (variables !== undefined && !isObject) throw badUserInput('variables', 'expected an object', 400);
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') {
    throw badUserInput('operationName', 'expected a text', 400);
  }
  return { query, variables: variables as Record<string, unknown> | null | undefined, operationName };
}

function goingAway(): GraphQLError {
  return refusal('This server is shutting down: connect again.', 503);
}

/** A stream does not end, so a response behind it is never sent, and one before it would share its time limits. */
function notAlone(): GraphQLError {
  return badRequest(`a request for ${EVENTS} needs a connection of its own: do not pipeline it with others`);
}

function tooManyConnections(full: Full | 'viewer'): GraphQLError {
  const [, reason] = CLOSE.tooMany;
  const message =
    full === 'viewer' ? reason : `Too many connections of this ${full}: close another one, or try again later`;
  return refusal(message, full === 'process' ? 503 : 429);
}

function refusal(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', http: retryLater(status) } });
}

/** The same error with status 503 and `retry-after`. */
function tryAgain(error: GraphQLError): GraphQLError {
  const { message, originalError, extensions } = error;
  return new GraphQLError(message, { originalError, extensions: { ...extensions, http: retryLater(503) } });
}

function retryLater(status: number) {
  return { status, headers: headerMap([['retry-after', String(RETRY_AFTER_SECONDS)]]) };
}
