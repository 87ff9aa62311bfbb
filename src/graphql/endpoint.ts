/** Queries and mutations over HTTP, through Apollo Server. An answer that may be kept is, for the front door. */
import { type ApolloServer, HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Answers } from './answers.js';
import type { Asked } from './front-door.js';
import type { Opened, RequestContext } from './request-context.js';

export interface EndpointOptions {
  readonly apollo: ApolloServer<RequestContext>;
  readonly answers: Answers;
  /** What the front door has let through. */
  readonly asked: WeakMap<object, Asked>;
  /** @throws what the request is refused with */
  readonly open: (request: FastifyRequest) => Promise<Opened>;
  readonly contextOf: (opened: Opened, request: FastifyRequest, reply: FastifyReply) => Promise<RequestContext>;
}

export function serveQueries(app: FastifyInstance, url: string, options: EndpointOptions): void {
  const { apollo, answers, asked, open, contextOf } = options;
  const answered = new WeakMap<object, Opened>();
  app.route({
    url,
    method: ['GET', 'POST'],
    handler: async (request, reply) => {
      let opened: Opened | undefined;
      const response = await apollo.executeHTTPGraphQLRequest({
        httpGraphQLRequest: {
          body: request.body,
          method: request.method,
          headers: headersOfRequest(request),
          search: searchOf(request.url),
        },
        context: async () => {
          opened = await (asked.get(request.raw)?.opened ?? open(request));
          return contextOf(opened, request, reply);
        },
      });
      if (opened?.answeredFor !== undefined) answered.set(request.raw, opened);
      return send(reply, response);
    },
    onSend: async ({ raw }, reply, payload) => {
      const [opened, question] = [answered.get(raw), asked.get(raw)?.question];
      if (opened?.identity === undefined || question === undefined || reply.statusCode !== 200) return payload;
      const { session, identity, answeredFor: cost = 0 } = opened;
      answers.keep(question, identity.userId, session, { text: payload as string, headers: reply.getHeaders(), cost });
      return payload;
    },
  });
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
  const mark = address.indexOf('?');
  return mark === -1 ? '' : address.slice(mark);
}
