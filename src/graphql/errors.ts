/** Errors that a client sees at the top level. Everything else is masked; expected refusals of a mutation are data (user-error.ts). */
import { randomUUID } from 'node:crypto';
import { GraphQLError, type GraphQLFormattedError, Kind } from 'graphql';
import { QueryTimeout } from '../engine/postgres/index.js';
import type { Log } from '../platform/log.js';

/**
 * The query asks for something malformed. `argument` is the path of the argument at fault; `status` of HTTP where the whole
 * request is refused, not one of its fields.
 */
export function badUserInput(argument: string, expected: string, status?: number): GraphQLError {
  return new GraphQLError(`${argument}: ${expected}`, {
    extensions: { code: 'BAD_USER_INPUT', argument, ...(status !== undefined && { http: { status } }) },
  });
}

/**
 * An error of graphql-js about variables that it could not read, as the client's, naming the variable. Of too many faults it says so
 * without naming one. Any other error as it is.
 */
export function badVariable(error: GraphQLError): GraphQLError {
  const { message, nodes = null } = error;
  const [node] = nodes ?? [];
  const isOther = node !== undefined && node.kind !== Kind.VARIABLE_DEFINITION;
  if (isOther || error.extensions['code'] !== undefined) return error;
  const argument = node === undefined ? 'variables' : node.variable.name.value;
  return new GraphQLError(message, { nodes, extensions: { code: 'BAD_USER_INPUT', argument } });
}

/** The request is none that could be understood. */
export function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } });
}

export function unauthenticated(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } });
}

/** Nothing is known of the token, as who could tell does not answer. */
export function authenticationUnavailable(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'AUTHENTICATION_UNAVAILABLE', http: { status: 503 } } });
}

/** Signed in, but not for this. */
export function forbidden(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'FORBIDDEN' } });
}

/** A subscriber who is told this has missed something. */
export function tooManyChanges(): GraphQLError {
  return new GraphQLError('More changed at once than is told one by one: subscribe again, then read again.', {
    extensions: { code: 'TOO_MANY_CHANGES' },
  });
}

/** What changed since this cursor is no longer known completely. */
export function cursorExpired(): GraphQLError {
  return new GraphQLError(
    'cursor: expired. Refetch, and continue with a new cursor: the one of a call without a cursor.',
    {
      extensions: { code: 'CURSOR_EXPIRED', argument: 'cursor' },
    },
  );
}

/** The document has several operations and none was named, or none of that name: nothing of it runs. */
export function noSuchOperation(name: string | undefined): GraphQLError {
  const message =
    name === undefined ? 'expected the name of one of the operations' : 'the document has no such operation';
  const extensions = { code: 'OPERATION_RESOLUTION_FAILURE', argument: 'operationName', http: { status: 400 } };
  return new GraphQLError(`operationName: ${message}`, { extensions });
}

/** Codes whose messages were written for clients. */
export const SHOWN = new Set([
  'BAD_USER_INPUT',
  'UNAUTHENTICATED',
  'AUTHENTICATION_UNAVAILABLE',
  'FORBIDDEN',
  'RATE_LIMITED',
  'CACHE_UNAVAILABLE',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'QUERY_TOO_EXPENSIVE',
  'RESPONSE_TOO_LARGE',
  'TOO_MANY_UNREAD_RESPONSES',
  'TOO_MANY_REQUEST_BODIES',
  'QUERY_TIMEOUT',
  'REQUEST_TIMEOUT',
  'CLIENT_CLOSED_REQUEST',
  'PERSISTED_DOCUMENT_NOT_FOUND',
  'PERSISTED_DOCUMENT_REQUIRED',
  'TOO_MANY_CHANGES',
  'CURSOR_EXPIRED',
  'TOO_MANY_SUBSCRIPTIONS',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'COMMIT_OUTCOME_UNKNOWN',
  'FENCE_REFUSED',
  'TOO_MANY_WRITES',
]);

/** The error that a resolver threw, from under what graphql-js put around it. */
export function causeOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? causeOf(error.originalError) : error;
}

/** From under what the query builder puts around it, whose message shows the statement. */
function queryTimeoutIn(error: unknown): QueryTimeout | undefined {
  const cause = causeOf(error);
  const under = cause instanceof Error ? cause.cause : undefined;
  return [cause, under].find((one) => one instanceof QueryTimeout);
}

/** The code a client is shown; undefined for an error that was not written for clients. */
function shownCode(error: unknown, formattedCode: unknown): string | undefined {
  const cause = causeOf(error);
  const own = cause instanceof GraphQLError ? cause.extensions['code'] : (cause as { code?: unknown } | null)?.code;
  return [own, formattedCode].map(String).find((code) => SHOWN.has(code)) ?? codeOfStatus(error);
}

/** Some refusals of Apollo's have a status of HTTP and no code of their own. */
function codeOfStatus(error: unknown): string | undefined {
  if (!(error instanceof GraphQLError) || error.originalError !== undefined) return undefined;
  const { code, http } = error.extensions as { code?: unknown; http?: { status?: number } };
  return code === undefined && http?.status === 400 ? 'BAD_REQUEST' : undefined;
}

/** What keeps errors of ours from clients: they get an id to ask with, the log has it with the cause. */
export class ErrorMask {
  readonly #log: Log;
  readonly #requestIds = new WeakMap<object, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Errors that happened in this request. Those before a request has its context get an id of their own. */
  note(errors: readonly object[], requestId: string): void {
    for (const error of errors) this.#requestIds.set(error, requestId);
  }

  /** For Apollo's `formatError`. */
  readonly format = (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const slow = queryTimeoutIn(error);
    if (slow !== undefined) {
      this.#log.warn({ path: formatted.path }, `a read was cancelled: ${slow.message}`);
      return { ...formatted, message: slow.message, extensions: { code: slow.code } };
    }
    const code = shownCode(error, formatted.extensions?.['code']);
    const message = formatted.message.replace(/^Context creation failed: /, ''); // Apollo's own, and nobody's concern
    if (code !== undefined) return { ...formatted, message, extensions: { ...formatted.extensions, code } };
    const requestId = this.#requestIds.get(error as object) ?? randomUUID();
    this.#log.error({ err: causeOf(error), requestId, path: formatted.path }, 'a request failed');
    return {
      message: 'Something went wrong on our side.',
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
    };
  };
}
