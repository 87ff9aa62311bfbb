/**
 * What goes wrong before Apollo has the request (a body that is no JSON, too large, of another type; an address that is none) or
 * around it, answered in the form that clients of the API read, and masked like everything else.
 */
import type { FastifyError, FastifyInstance } from 'fastify';
import { GraphQLError } from 'graphql';
import { badRequest, type ErrorMask } from '../../graphql/errors.js';
import { httpOf } from '../../graphql/http-headers.js';
import { mediaTypeFor } from './graphql-over-http.js';

export function answerHttpErrors(app: FastifyInstance, endpoint: string, mask: ErrorMask): void {
  app.addHook('onRequest', async (request) => {
    // Apollo's integration makes a URL of both; what is none must not fail as an error of ours.
    if (!URL.canParse(request.url, `http://${request.hostname}/`)) {
      throw badRequest('This is not an address: expected a path, and a header Host with a host name.');
    }
  });
  app.setErrorHandler((error: FastifyError | GraphQLError, request, reply) => {
    const refused = statusOf(error);
    const isApi = request.url.split('?')[0] === endpoint;
    if (refused !== undefined && !isApi) {
      return reply.code(refused).send({ statusCode: refused, message: error.message });
    }
    const known = refused !== undefined && !(error instanceof GraphQLError) ? badRequest(error.message) : error;
    const { http: _, ...extensions } = known instanceof GraphQLError ? known.extensions : {};
    const told = mask.format({ message: known.message, extensions }, known);
    const { headers = [] } = known instanceof GraphQLError ? httpOf(known.extensions) : {};
    for (const [name, value] of headers) reply.header(name, value);
    // As text: Fastify would put its own media type in place of ours.
    reply.code(refused ?? 500).type(mediaTypeFor(request.headers.accept));
    return reply.send(JSON.stringify({ errors: [told] }));
  });
}

/** Of an error that was written for the client; undefined for one of ours. */
function statusOf(error: FastifyError | GraphQLError): number | undefined {
  if (error instanceof GraphQLError) return httpOf(error.extensions).status;
  const { statusCode } = error;
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}
