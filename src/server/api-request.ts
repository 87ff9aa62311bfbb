/**
 * All that is known of one HTTP request, from its arrival until its response is sent. The request pipeline
 * (http/request-pipeline.ts) creates it; each stage adds its result once and hands it on. Fastify's hooks and handlers
 * find it as `request.apiRequest`.
 *
 * | stage | adds | in |
 * |---|---|---|
 * | arrived | `id`; `startedMs`, after a wait on a busy process; `received`, if the response may be cached | http/request-pipeline.ts |
 * | admitted | `sender` | http/request-pipeline.ts, or http/endpoint.ts |
 * | known operation | `context`, unless only Apollo can tell what is asked | operations/known-operations.ts |
 * | Apollo | `outcome`; `isCacheable`, if the response may be kept | http/endpoint.ts |
 *
 * What the execution of its operation finds out is in `OperationOutcome` (request-context.ts).
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { ReadSet } from '../engine/cache/index.js';
import type { RequestKey } from '../engine/graphql/index.js';
import type { Sender } from './admission.js';
import type { OperationOutcome, RequestContext } from './request-context.js';

/** Of requests and responses. */
export const REQUEST_ID_HEADER = 'x-request-id';

/** A request whose whole body has been read, and whose response may be cached. */
export interface Received {
  readonly body: Buffer;
  readonly key: RequestKey;
  /** Begins when the body has arrived: what was written before is read. */
  readonly readSet: ReadSet;
}

/** An id that a proxy or a client gives. Others are replaced, since the id goes into the log and into headers. */
const GIVEN_ID = /^[\x21-\x7e]{1,128}$/;

export class ApiRequest {
  readonly startedMs = performance.now();
  readonly #givenId: string | string[] | undefined;
  #id: string | undefined;
  #received: Received | undefined;
  #admission: Promise<Sender> | undefined;
  #sender: Sender | undefined;
  #context: RequestContext | undefined;
  #isCacheable = false;
  #outcome: OperationOutcome | undefined;

  constructor({ headers }: Pick<IncomingMessage, 'headers'>) {
    this.#givenId = headers[REQUEST_ID_HEADER];
  }

  /** In the response's headers, in the log, and in errors that are hidden from the client. */
  get id(): string {
    const given = this.#givenId;
    this.#id ??= typeof given === 'string' && GIVEN_ID.test(given) ? given : randomUUID();
    return this.#id;
  }

  /** Absent: the response is neither looked up nor kept, and Fastify reads the body. */
  get received(): Received | undefined {
    return this.#received;
  }

  receive(received: Received): void {
    this.#received = received;
  }

  /** Admits the request once: later calls get the first result. @throws the refusal */
  admit(begin: () => Promise<Sender>): Promise<Sender> {
    this.#admission ??= this.#admitted(begin);
    return this.#admission;
  }

  /** Absent: not admitted, or a request for something else than the API. */
  get sender(): Sender | undefined {
    return this.#sender;
  }

  /** Present: its operation has been decided on and perhaps run, and Apollo only writes the response. */
  get context(): RequestContext | undefined {
    return this.#context;
  }

  begin(context: RequestContext): void {
    this.#context = context;
  }

  /** Whether the response may be kept. */
  get isCacheable(): boolean {
    return this.#isCacheable;
  }

  markCacheable(): void {
    this.#isCacheable = true;
  }

  /** Of an operation that Apollo has run, for the metrics. */
  get outcome(): OperationOutcome | undefined {
    return this.#outcome;
  }

  ran(outcome: OperationOutcome): void {
    this.#outcome = outcome;
  }

  async #admitted(begin: () => Promise<Sender>): Promise<Sender> {
    this.#sender = await begin();
    return this.#sender;
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before every other hook. */
    apiRequest: ApiRequest;
  }
}

/** A message that passed through the pipeline before Fastify. */
interface ExaminedMessage extends IncomingMessage {
  apiRequest?: ApiRequest;
}

/** Hands a request on to Fastify together with its message. */
export function attach(message: ExaminedMessage, request: ApiRequest): void {
  message.apiRequest = request;
}

/** Gives each Fastify request its `apiRequest`. Call it before hooks are added that use it. */
export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('apiRequest');
  app.addHook('onRequest', (request, reply, done) => {
    request.apiRequest = (request.raw as ExaminedMessage).apiRequest ?? new ApiRequest(request.raw);
    reply.header(REQUEST_ID_HEADER, request.apiRequest.id);
    done();
  });
}
