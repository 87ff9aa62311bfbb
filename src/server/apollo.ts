/** Apollo Server: reads documents, validates them, and runs their operations through the executor. */
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import { type ErrorMask, INTERNAL, publicCode } from '../graphql/errors.js';
import { LIMITS, PARSE_OPTIONS } from '../graphql/limits.js';
import type { Log } from '../platform/log.js';
import { statusByMediaType } from './http/graphql-over-http.js';
import { httpCachePlugin } from './http/http-cache.js';
import type { Documents } from './operations/documents.js';
import { executorGateway, type OperationExecutor } from './operations/executor.js';
import type { LargeResponses } from './operations/large-responses.js';
import { type OperationGate, operationPlugin, rateLimitHeaders } from './operations/operation-plugin.js';
import type { RegisteredDocuments } from './operations/persisted-documents.js';
import { tracePlugin } from './operations/trace-plugin.js';
import type { RequestContext } from './request-context.js';

/**
 * Headers that a page of another origin cannot make a browser send without a preflight. A plain GET must have one of
 * them.
 */
const UNFORGEABLE_HEADERS = ['authorization', 'apollo-require-preflight', 'x-apollo-operation-name'];

export interface ApolloOptions {
  readonly schema: GraphQLSchema;
  readonly documents: Documents;
  readonly gate: OperationGate;
  readonly executor: OperationExecutor;
  readonly large: LargeResponses;
  readonly registered: RegisteredDocuments;
  readonly production: boolean;
  /** Default: not in production. */
  readonly introspection?: boolean;
  readonly mask: ErrorMask;
  readonly log: Log;
  /** Whether clients may register documents. */
  readonly registration: boolean;
}

/** @returns a server that must be started */
export function createApollo(options: ApolloOptions): ApolloServer<RequestContext> {
  const { schema, production, mask, documents, registered, log } = options;
  return new ApolloServer<RequestContext>({
    gateway: executorGateway(schema, options.executor),
    introspection: options.introspection ?? !production,
    hideSchemaDetailsFromClientErrors: production,
    validationRules: [...LIMITS],
    parseOptions: PARSE_OPTIONS,
    documentStore: documents.store,
    persistedQueries: options.registration ? { cache: registered } : false,
    stringifyResult: options.large.stringify,
    allowBatchedHttpRequests: false, // a batch would be charged as one request
    csrfPrevention: { requestHeaders: UNFORGEABLE_HEADERS },
    includeStacktraceInErrorResponses: false,
    formatError: mask.format,
    stopOnTerminationSignals: false, // two concurrent stops would hang; main.ts stops the server
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      operationPlugin(options.gate),
      tracePlugin,
      errorPlugin(mask),
      statusByMediaType,
      httpCachePlugin(),
      rateLimitHeaders,
      documents.plugin(),
      registered.plugin(),
    ],
    logger: { debug: () => {}, info: () => {}, warn: (text) => log.warn(text), error: (text) => log.error(text) },
  });
}

/** Gives masked errors the id of their request. */
function errorPlugin(mask: ErrorMask): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: async () => ({
      didEncounterErrors: async ({ errors, contextValue: { requestId, span } }) => {
        mask.note(errors, requestId);
        const codes = errors.map(publicCode);
        const internal = codes.includes(INTERNAL);
        span?.failed(internal ? INTERNAL : (codes[0] ?? INTERNAL), { internal });
      },
    }),
  };
}
