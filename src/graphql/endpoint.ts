/**
 * Queries and mutations over HTTP: what is known to be the answer now is sent at once; everything else goes through Apollo Server. Either
 * way the viewer's token has been checked and the request is paid for.
 */
import { type ApolloServer, HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Answer, type Answers, type Question, questionOf } from './answers.js';
import { headersOf, type RateLimits } from './rate-limit.js';
import type { Opened, RequestContext } from './request-context.js';

export interface EndpointOptions {
  readonly apollo: ApolloServer<RequestContext>;
  readonly answers: Answers;
  readonly rateLimits: RateLimits | undefined;
  /** `answer`: the answer may be kept. @throws what the request is refused with */
  readonly open: (request: FastifyRequest, answer: boolean) => Promise<Opened>;
  readonly contextOf: (opened: Opened, request: FastifyRequest, reply: FastifyReply) => Promise<RequestContext>;
}

export function serveQueries(app: FastifyInstance, url: string, options: EndpointOptions): void {
  const { apollo, answers, open, contextOf } = options;
  app.route({
    url,
    method: ['GET', 'POST'],
    handler: async (request, reply) => {
      const question = questionOf(request);
      const opening = open(request, question !== undefined);
      opening.catch(() => {}); // Apollo may refuse the request before it asks who sent it
      const known = question && (await findKnown(options, question, opening));
      if (known !== undefined) return sendKnown(reply, known);

      const response = await apollo.executeHTTPGraphQLRequest({
        httpGraphQLRequest: {
          body: request.body,
          method: request.method,
          headers: headersOfRequest(request),
          search: searchOf(request.url),
        },
        context: async () => contextOf(await opening, request, reply),
      });
      const text = await send(reply, response);
      if (question !== undefined && reply.statusCode === 200) {
        const { identity, session, answeredFor } = await opening;
        const contentType = String(reply.getHeader('content-type'));
        if (identity !== undefined && answeredFor !== undefined) {
          answers.keep(question, identity.userId, session, { text, contentType, cost: answeredFor });
        }
      }
      return text;
    },
  });
}

/** Undefined also where the request is to be refused: the server says so in its own way. */
async function findKnown({ answers, rateLimits }: EndpointOptions, question: Question, opening: Promise<Opened>) {
  const opened = await opening.catch(() => undefined);
  if (opened?.identity === undefined) return undefined;
  const { session, identity, caller } = opened;
  const answer = await answers.find(question, identity.userId, session);
  if (answer === undefined || rateLimits === undefined) return answer && { answer, paid: undefined };
  const paid = await rateLimits.spend(caller, answer.cost).catch(() => undefined);
  return paid && { answer, paid };
}

function sendKnown(
  reply: FastifyReply,
  { answer, paid }: { answer: Answer; paid: Parameters<typeof headersOf>[0] | undefined },
) {
  if (paid !== undefined) reply.headers(Object.fromEntries(headersOf(paid)));
  return reply.header('content-type', answer.contentType).send(answer.text);
}

/** @returns the body */
async function send(reply: FastifyReply, { status = 200, headers, body }: HTTPGraphQLResponse): Promise<string> {
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  if (body.kind === 'complete') return body.string;
  let text = '';
  for await (const chunk of body.asyncIterator) text += chunk; // the schema has nothing incremental
  return text;
}

function headersOfRequest({ headers }: FastifyRequest): HeaderMap {
  const map = new HeaderMap();
  for (const [name, value] of Object.entries(headers)) {
    if (value) map.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return map;
}

/** With its question mark, as of a URL. */
function searchOf(address: string): string {
  return new URL(address, 'http://localhost').search;
}
