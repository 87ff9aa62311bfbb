/** The Redis store and what an application configures of its connections. */
export { CircuitBreaker } from './circuit-breaker.js';
export { placeOf, type RedisClient } from './client-place.js';
export { type Address, type Connection, databaseIn, openConnection, type RedisPlace } from './connection.js';
export { failureReason } from './connection-failure.js';
export type { OutageListener } from './outage.js';
export { RedisStore, type RedisStoreOptions } from './redis-store.js';
export { withTimeout } from './with-timeout.js';
