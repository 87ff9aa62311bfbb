/**
 * Errors that clients see at the top level. All others are masked; expected refusals of mutations are data
 * (user-error.ts).
 */
import { randomUUID } from 'node:crypto';
import { GraphQLError, type GraphQLFormattedError, Kind } from 'graphql';
import { QueryTimeout } from '../engine/postgres/index.js';
import type { Log } from '../platform/log.js';
import { headerMap } from './http-headers.js';

/**
 * An argument is malformed.
 * @param argument the path of the argument
 * @param status HTTP status, if the whole request is refused rather than one field
 */
export function badUserInput(argument: string, expected: string, status?: number): GraphQLError {
  return new GraphQLError(`${argument}: ${expected}`, {
    extensions: { code: 'BAD_USER_INPUT', argument, ...(status !== undefined && { http: { status } }) },
  });
}

/**
 * Turns graphql-js's error about an unreadable variable into BAD_USER_INPUT that names the variable. If there are too
 * many faults, graphql-js names none. Other errors are returned unchanged.
 */
export function badVariable(error: GraphQLError): GraphQLError {
  const { message, nodes = null } = error;
  const [node] = nodes ?? [];
  const isOther = node !== undefined && node.kind !== Kind.VARIABLE_DEFINITION;
  if (isOther || error.extensions['code'] !== undefined) return error;
  const argument = node === undefined ? 'variables' : node.variable.name.value;
  return new GraphQLError(message, { nodes, extensions: { code: 'BAD_USER_INPUT', argument } });
}

/** The request could not be understood. */
export function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } });
}

/** @param challenge the header `WWW-Authenticate`, as RFC 6750 wants it; by default that of a token that is not valid */
export function unauthenticated(message: string, challenge = 'Bearer error="invalid_token"'): GraphQLError {
  const headers = headerMap([['www-authenticate', challenge]]);
  return new GraphQLError(message, { extensions: { code: 'UNAUTHENTICATED', http: { status: 401, headers } } });
}

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof GraphQLError && error.extensions['code'] === 'UNAUTHENTICATED';
}

/** The token could not be verified because its issuer does not respond. */
export function authenticationUnavailable(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'AUTHENTICATION_UNAVAILABLE', http: { status: 503 } } });
}

/** Authenticated, but without this permission. */
export function forbidden(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'FORBIDDEN' } });
}

/** The subscriber has missed changes. */
export function tooManyChanges(): GraphQLError {
  return new GraphQLError('Too many changes to deliver individually. Resubscribe, then refetch.', {
    extensions: { code: 'TOO_MANY_CHANGES' },
  });
}

/** A connection, a viewer or the process has its maximum of subscriptions or live queries. */
export function tooManySubscriptions(message: string, status = 429): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', http: { status } } });
}

/** Some changes since this cursor are no longer known. */
export function cursorExpired(): GraphQLError {
  return new GraphQLError('cursor: expired. Refetch, then call without a cursor to get a new one.', {
    extensions: { code: 'CURSOR_EXPIRED', argument: 'cursor' },
  });
}

/** The document has several operations and none was named, or it has no operation of that name. Nothing is executed. */
export function noSuchOperation(name: string | undefined): GraphQLError {
  const message =
    name === undefined ? 'expected the name of one of the operations' : 'the document has no such operation';
  const extensions = { code: 'OPERATION_RESOLUTION_FAILURE', argument: 'operationName', http: { status: 400 } };
  return new GraphQLError(`operationName: ${message}`, { extensions });
}

/** Codes of errors whose messages are written for clients. */
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

/** Anything that was thrown, as an error of GraphQL. */
export function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  return new GraphQLError(cause.message, { originalError: cause });
}

/** Unwraps the error that a resolver threw from graphql-js's error. */
export function causeOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? causeOf(error.originalError) : error;
}

/** Unwraps it from the query builder's error, whose message contains the statement. */
function queryTimeoutIn(error: unknown): QueryTimeout | undefined {
  const cause = causeOf(error);
  const under = cause instanceof Error ? cause.cause : undefined;
  return [cause, under].find((one) => one instanceof QueryTimeout);
}

/** The code to show to clients; undefined if the error was not written for clients. */
function shownCode(error: unknown, formattedCode: unknown): string | undefined {
  const cause = causeOf(error);
  const own = cause instanceof GraphQLError ? cause.extensions['code'] : (cause as { code?: unknown } | null)?.code;
  return [own, formattedCode].map(String).find((code) => SHOWN.has(code)) ?? codeOfStatus(error);
}

/** Some of Apollo's errors have an HTTP status but no code. */
function codeOfStatus(error: unknown): string | undefined {
  if (!(error instanceof GraphQLError) || error.originalError !== undefined) return undefined;
  const { code, http } = error.extensions as { code?: unknown; http?: { status?: number } };
  return code === undefined && http?.status === 400 ? 'BAD_REQUEST' : undefined;
}

export const INTERNAL = 'INTERNAL_SERVER_ERROR';

/** The code that clients are sent. */
export function publicCode(error: GraphQLError): string {
  return queryTimeoutIn(error)?.code ?? shownCode(error, error.extensions['code']) ?? INTERNAL;
}

/** Of all errors that clients are sent. */
export const ERROR_CODES: readonly string[] = [...SHOWN, INTERNAL];

/** Hides internal errors from clients. They get a request id; the log contains it with the cause. */
export class ErrorMask {
  readonly #log: Log;
  readonly #onError: (code: string, cause: unknown) => void;
  readonly #requestIds = new WeakMap<object, string>();

  /** @param onError called for each error that is sent, with what a resolver or stage has thrown */
  constructor(log: Log, onError: (code: string, cause: unknown) => void) {
    this.#log = log;
    this.#onError = onError;
  }

  /** Assigns errors to a request. Errors before a request has its context get an id of their own. */
  note(errors: readonly object[], requestId: string): void {
    for (const error of errors) this.#requestIds.set(error, requestId);
  }

  /** For Apollo's `formatError`. */
  readonly format = (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const shown = this.#shown(formatted, error);
    this.#onError(String(shown.extensions?.['code'] ?? INTERNAL), causeOf(error));
    return shown;
  };

  #shown(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
    const slow = queryTimeoutIn(error);
    if (slow !== undefined) {
      this.#log.warn({ path: formatted.path }, `a read was cancelled: ${slow.message}`);
      return { ...formatted, message: slow.message, extensions: { code: slow.code } };
    }
    const code = shownCode(error, formatted.extensions?.['code']);
    const message = formatted.message.replace(/^Context creation failed: /, ''); // an internal prefix of Apollo
    if (code !== undefined) return { ...formatted, message, extensions: { ...formatted.extensions, code } };
    const requestId = this.#requestIds.get(error as object) ?? randomUUID();
    this.#log.error({ err: causeOf(error), requestId, path: formatted.path }, 'a request failed');
    return {
      message: 'Something went wrong on our side.',
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
      extensions: { code: INTERNAL, requestId },
    };
  }
}
