/** The GraphQL side: cached resolvers, request loaders, cache traces, whole answers. */
export { cacheDebugging } from './cache-debugger.js';
export { Tracer } from './cache-trace.js';
export { bindPolicies, Cached, type CachedPolicy, cachedResolver, type PolicyLine } from './cached.js';
export { Executions, type ExecutionsOptions } from './executions.js';
export { type BatchLoad, type LoadDatabase, RequestLoaders, type Source } from './request-loaders.js';
export {
  type CachedResponse,
  isCacheable,
  lastingHeaders,
  type RequestKey,
  ResponseCache,
  requestKeyOf,
} from './response-cache.js';
export { apolloPlugin, type PluginOptions, yogaPlugin } from './server-plugins.js';
