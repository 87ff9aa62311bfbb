/** The GraphQL side: cached resolvers, request loaders, cache traces, whole answers. */
export { cacheDebugging } from './cache-debugger.js';
export { Tracer } from './cache-trace.js';
export { bindPolicies, Cached, type PolicyLine } from './cached.js';
export { type BatchLoad, RequestLoaders, type Source } from './request-loaders.js';
export { type CachedResponse, isCacheable, type RequestKey, ResponseCache, requestKeyOf } from './response-cache.js';
