/** Traces what the cache did for a request, if its headers ask for that. The trace is part of the response. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ApolloServerPlugin } from '@apollo/server';
import { cacheDebugging, Tracer } from '../../engine/graphql/index.js';
import type { Identity } from '../../graphql/identity.js';
import type { RequestContext } from '../request-context.js';

/** The scope that allows cache traces in production. */
const TRACE_SCOPE = 'cache:trace';

export function tracerFor(
  headers: IncomingHttpHeaders,
  { production, identity }: { readonly production: boolean; readonly identity: Identity | undefined },
): Tracer {
  const mayTrace = !production || identity?.scopes.includes(TRACE_SCOPE) === true;
  const header = (name: string) => headers[name];
  return new Tracer(mayTrace && (wantsTrace(header) || wantsDebugging(header)));
}

export const tracePlugin: ApolloServerPlugin<RequestContext> = {
  requestDidStart: async () => ({
    executionDidStart: async ({ contextValue: { tracer } }) =>
      tracer.enabled ? { willResolveField: ({ info }) => tracer.enter(info) } : {},
    willSendResponse: async ({ request, response: { body }, contextValue: { tracer } }) => {
      if (body.kind !== 'single' || !tracer.enabled) return;
      const { singleResult } = body;
      const header = (name: string) => request.http?.headers.get(name);
      singleResult.extensions = {
        ...singleResult.extensions,
        ...(wantsTrace(header) && { cache: tracer.report() }),
        ...(wantsDebugging(header) && { apolloCacheDebugging: cacheDebugging(tracer.noted, Date.now()) }),
      };
    },
  }),
};

type HeaderOf = (name: string) => string | string[] | undefined;

/** `extensions.cache` */
function wantsTrace(header: HeaderOf): boolean {
  return header('x-cache-trace') === '1';
}

/** `extensions.apolloCacheDebugging` */
function wantsDebugging(header: HeaderOf): boolean {
  return header('apollo-cache-debugging') === 'true';
}
