/**
 * Errors outside Apollo: a body that is not JSON, too large or of another type, or an invalid URL. They are returned in
 * the form that API clients expect, and masked like all others.
 */
import type { FastifyError, FastifyInstance } from 'fastify';
import { GraphQLError } from 'graphql';
import { badRequest, type ErrorMask } from '../../graphql/errors.js';
import { httpOf } from '../../graphql/http-headers.js';
import { mediaTypeFor } from './graphql-over-http.js';

export function answerHttpErrors(app: FastifyInstance, endpoint: string, mask: ErrorMask): void {
  app.addHook('onRequest', async (request) => {
    // Apollo's integration builds a URL from both. An invalid one must not become an internal error.
    if (!URL.canParse(request.url, `http://${request.hostname}/`)) {
      throw badRequest('Invalid URL: expected a path, and a Host header with a host name.');
    }
  });
  app.setErrorHandler((error: FastifyError | GraphQLError, request, reply) => {
    const refused = statusOf(error);
    const isApi = request.url.split('?')[0] === endpoint;
    const { headers = [] } = error instanceof GraphQLError ? httpOf(error.extensions) : {};
    for (const [name, value] of headers) reply.header(name, value);
    if (refused !== undefined && !isApi) {
      return reply.code(refused).send({ statusCode: refused, message: error.message });
    }
    const known = refused !== undefined && !(error instanceof GraphQLError) ? badRequest(error.message) : error;
    const { http: _, ...extensions } = known instanceof GraphQLError ? known.extensions : {};
    const shown = mask.format({ message: known.message, extensions }, known);
    // Sent as text, because Fastify would otherwise replace the media type.
    reply.code(refused ?? 500).type(mediaTypeFor(request.headers.accept));
    return reply.send(JSON.stringify({ errors: [shown] }));
  });
}

/** The status of an error that was written for the client; undefined for internal errors. */
function statusOf(error: FastifyError | GraphQLError): number | undefined {
  if (error instanceof GraphQLError) return httpOf(error.extensions).status;
  const { statusCode } = error;
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}
