/**
 * Plugins of GraphQL servers. They add the trace (`extensions.cache`) to the answers of requests that ask for it by
 * `x-cache-trace: 1`. Caching needs none of them. Their types name what they use of the servers, so that neither has to
 * be installed.
 */
import type { GraphQLResolveInfo } from 'graphql';
import { Tracer } from './cache-trace.js';
import type { Executions } from './executions.js';

const HEADER = 'x-cache-trace';

interface Headers {
  get(name: string): string | null | undefined;
}

export interface PluginOptions {
  readonly executions: Pick<Executions<never>, 'trace'>;
  /** Who may ask for a trace, which names row sets and arguments. */
  readonly mayTrace: (context: unknown) => boolean;
}

interface ApolloRequest {
  readonly contextValue: object;
  readonly request: { readonly http?: { readonly headers: Headers } | undefined };
}

interface ApolloResponse {
  readonly response: { readonly body: { kind: string; singleResult?: { extensions?: Record<string, unknown> } } };
}

/** For Apollo Server 4 and 5. */
export function apolloPlugin({ executions, mayTrace }: PluginOptions) {
  return {
    async requestDidStart({ contextValue, request }: ApolloRequest) {
      if (request.http?.headers.get(HEADER) !== '1' || !mayTrace(contextValue)) return;
      const tracer = new Tracer(true);
      executions.trace(contextValue, tracer);
      return {
        async executionDidStart() {
          return { willResolveField: ({ info }: { info: GraphQLResolveInfo }) => tracer.enter(info) };
        },
        async willSendResponse({ response: { body } }: ApolloResponse) {
          if (body.singleResult === undefined) return; // an answer in parts
          body.singleResult.extensions = { ...body.singleResult.extensions, cache: tracer.report() };
        },
      };
    },
  };
}

interface Execution {
  readonly args: { readonly contextValue?: unknown };
}

interface Executed {
  readonly result: unknown;
  setResult(result: never): void;
}

/** For GraphQL Yoga, and other servers that take plugins of Envelop. */
export function yogaPlugin({ executions, mayTrace }: PluginOptions) {
  return {
    onExecute({ args: { contextValue } }: Execution) {
      const { request } = (contextValue ?? {}) as { request?: { headers: Headers } };
      if (request?.headers.get(HEADER) !== '1' || !mayTrace(contextValue)) return undefined;
      const tracer = new Tracer(true);
      executions.trace(contextValue as object, tracer);
      return {
        onExecuteDone({ result, setResult }: Executed) {
          if (typeof result !== 'object' || result === null || Symbol.asyncIterator in result) return;
          const { extensions } = result as { extensions?: Record<string, unknown> };
          setResult({ ...result, extensions: { ...extensions, cache: tracer.report() } } as never);
        },
      };
    },
  };
}
