/**
 * The way of a request to the API:
 *
 *     arrived → admitted → cached response → known operation → Apollo → sent
 *
 * A request in its usual form takes the first stages here, before Fastify. If none of them answers it, it is handed on
 * with all that is known of it. Every other request is admitted in Fastify and has no cached response.
 * What is known of a request is in its `ApiRequest`.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Cache } from '../../engine/cache/index.js';
import { isCacheable, requestKeyOf } from '../../engine/graphql/index.js';
import type { Admit } from '../admission.js';
import { ApiRequest, attach } from '../api-request.js';
import { wantsEvents } from '../live/event-streams.js';
import type { KnownOperations } from '../operations/known-operations.js';
import type { RequestSpans } from '../request-span.js';
import type { CachedResponses } from './cached-responses.js';

export interface PipelineOptions {
  readonly cache: Cache;
  /** @throws the refusal of the request */
  readonly admit: Admit;
  readonly responses: CachedResponses;
  /** Absent: Apollo runs every operation. */
  readonly known?: KnownOperations | undefined;
  /** Absent: nothing records spans. */
  readonly spans?: RequestSpans | undefined;
}

/** A request on its way through the first stages. */
interface Early {
  readonly request: ApiRequest;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
}

/** Puts the pipeline in front of Fastify, for requests with exactly this URL. */
export function serveRequests(
  app: FastifyInstance,
  url: string,
  { cache, admit, responses, known, spans }: PipelineOptions,
): void {
  const [fastify] = app.server.listeners('request') as [RequestListener];
  let closing = false;

  async function serve({ request, message, response }: Early, body: Buffer): Promise<void> {
    // Begins only now: an answer is proved by a log read that begins after this, and a body may arrive late.
    const readSet = cache.readSet({ answer: true });
    const received = { body, key: requestKeyOf(message, body), readSet };
    request.receive(received);
    const cached = await request
      .admit(() => admit(message, readSet))
      .then((sender) => responses.find(received, sender))
      .catch(() => undefined); // Fastify sends the refusal
    if (cached !== undefined) return responses.send(cached, request, response);
    if ((await known?.answer(request, message, response)) === true) return;
    attach(message, request);
    fastify(message, response);
  }

  app.server.removeListener('request', fastify);
  app.server.on('request', (message, response) => {
    const isUsual = message.url === url && isCacheable(message) && !wantsEvents(message);
    if (closing || !isUsual) return fastify(message, response);
    const request = new ApiRequest(message, spans?.start(message, response));
    readBody(message, (body) => void request.within(() => serve({ request, message, response }, body)));
  });
  app.addHook('preClose', async () => {
    closing = true; // Fastify asks new clients to disconnect
    responses.close();
  });
  // Existing connections are asked too; otherwise a kept-alive connection would keep the server from closing until it
  // is idle.
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close');
  });
}

/** Calls back with the complete body, which has a known length. Never, if the client goes before. */
function readBody(message: IncomingMessage, then: (body: Buffer) => void): void {
  const length = Number(message.headers['content-length']);
  const chunks: Buffer[] = [];
  let received = 0;
  message.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    received += chunk.length;
    if (received === length) then(chunks.length === 1 ? chunk : Buffer.concat(chunks));
  });
}
