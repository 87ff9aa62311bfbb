/**
 * What Apollo Server leaves to us of the GraphQL-over-HTTP specification: the status of a request that is refused as a whole (it
 * does not parse, is not valid, its variables do not fit). 400 tells clients that know application/graphql-response+json that a
 * GraphQL answer comes; in application/json, which anything between could have written, it is 200, and they look for `errors`.
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

/** Of a response that Apollo does not write. */
export function mediaTypeFor(accept: string | undefined): string {
  return `${accept?.includes(GRAPHQL_MEDIA_TYPE) ? GRAPHQL_MEDIA_TYPE : 'application/json'}; charset=utf-8`;
}

export const statusByMediaType: ApolloServerPlugin = {
  requestDidStart: async () => ({
    willSendResponse: async ({ request, response: { body, http } }) => {
      if (http.status !== 400 || body.kind !== 'single') return;
      const refused = body.singleResult.errors?.every(({ extensions }) =>
        REQUEST_ERRORS.has(String(extensions?.['code'])),
      );
      if (refused && !request.http?.headers.get('accept')?.includes(GRAPHQL_MEDIA_TYPE)) http.status = 200;
    },
  }),
};
