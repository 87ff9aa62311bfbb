/**
 * What goes wrong before Apollo has the request (a body that is no JSON, too large, of another type; an address that is none) or
 * around it, answered in the form that clients of the API read, and masked like everything else.
 */
import type { FastifyError, FastifyInstance } from 'fastify';
import { GraphQLError } from 'graphql';
import type { ErrorMask } from './errors.js';

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
    return reply.code(refused ?? 500).send({ errors: [told] });
  });
}

function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } });
}

/** Of an error that says what the client did wrong; undefined for one of ours. */
function statusOf(error: FastifyError | GraphQLError): number | undefined {
  const status =
    error instanceof GraphQLError
      ? (error.extensions['http'] as { status?: number } | undefined)?.status
      : error.statusCode;
  return status !== undefined && status >= 400 && status < 500 ? status : undefined;
}
