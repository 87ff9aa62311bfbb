/** Errors that a client sees at the top level. Everything else is masked; expected refusals of a mutation are data (user-error.ts). */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';

/** The query asks for something malformed. `argument` is the path of the argument at fault. */
export function badUserInput(argument: string, expected: string): GraphQLError {
  return new GraphQLError(`${argument}: ${expected}`, { extensions: { code: 'BAD_USER_INPUT', argument } });
}

export function unauthenticated(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } });
}

/** Codes whose messages were written for clients. */
const SHOWN = new Set([
  'BAD_USER_INPUT',
  'UNAUTHENTICATED',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'COMMIT_OUTCOME_UNKNOWN',
  'FENCE_REFUSED',
]);

/** The error that a resolver threw, from under what graphql-js put around it. */
export function causeOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? causeOf(error.originalError) : error;
}

/** The code a client is shown; undefined for an error that was not written for clients. */
function shownCode(error: unknown, formattedCode: unknown): string | undefined {
  const cause = causeOf(error);
  const own = cause instanceof GraphQLError ? cause.extensions['code'] : (cause as { code?: unknown } | null)?.code;
  return [own, formattedCode].map(String).find((code) => SHOWN.has(code));
}

export function isMasked(error: GraphQLError): boolean {
  return shownCode(error, error.extensions['code']) === undefined;
}

/** For Apollo's `formatError`: the log has the cause, the client an id to ask with. */
export function maskError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const code = shownCode(error, formatted.extensions?.['code']);
  if (code !== undefined) return { ...formatted, extensions: { ...formatted.extensions, code } };
  return {
    message: 'Something went wrong on our side.',
    ...(formatted.path && { path: formatted.path }),
    ...(formatted.locations && { locations: formatted.locations }),
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
  };
}
