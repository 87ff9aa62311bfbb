/**
 * The part of the GraphQL-over-HTTP specification that Apollo Server leaves open: the status of a request that is
 * refused as a whole, because it does not parse, is invalid or has unfit variables. For
 * application/graphql-response+json it is 400, which tells the client that a GraphQL response follows. For
 * application/json, which an intermediary could have sent, it is 200 and clients check `errors`.
 */
import type { ApolloServerPlugin } from '@apollo/server';

const GRAPHQL_MEDIA_TYPE = 'application/graphql-response+json';
/** Refusals by GraphQL itself. Others, such as 401, keep their status in any media type. */
const REQUEST_ERRORS = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_USER_INPUT',
]);

/** Whether a header `accept` names the media type, in any case. */
export function accepts(accept: string | undefined, mediaType: string): boolean {
  return accept?.toLowerCase().includes(mediaType) === true;
}

/** The media type of a response that Apollo does not write. */
export function mediaTypeFor(accept: string | undefined): string {
  return `${accepts(accept, GRAPHQL_MEDIA_TYPE) ? GRAPHQL_MEDIA_TYPE : 'application/json'}; charset=utf-8`;
}

export const statusByMediaType: ApolloServerPlugin = {
  requestDidStart: async () => ({
    willSendResponse: async ({ request, response: { body, http } }) => {
      if (http.status !== 400 || body.kind !== 'single') return;
      const refused = body.singleResult.errors?.every(({ extensions }) =>
        REQUEST_ERRORS.has(String(extensions?.['code'])),
      );
      if (refused && !accepts(request.http?.headers.get('accept'), GRAPHQL_MEDIA_TYPE)) http.status = 200;
    },
  }),
};
