/** The events of a cache, for any number of listeners that come and go. */
import { EventEmitter } from 'node:events';
import { CACHE_EVENTS, type CacheEvents, type Log } from '../cache/index.js';
import type { FenceEvents } from '../postgres/fences.js';
import type { RelayEvents } from '../postgres/relay-events.js';

/** See `CacheEvents`, `RelayEvents` and `FenceEvents` for what each says. */
export type AllEvents = CacheEvents & RelayEvents & FenceEvents;
export type CacheEventMap = { [E in keyof AllEvents]-?: Parameters<NonNullable<AllEvents[E]>> };
export type CacheEmitter = EventEmitter<CacheEventMap>;

const NAMES = [...CACHE_EVENTS, ...(['ticked', 'forced', 'purged', 'moved', 'old'] as const)];

/**
 * An emitter, and the listener that emits by it. The error of a listener is logged; it keeps only later listeners of
 * that event from being called.
 */
export function cacheEmitter(log: Log): { readonly emitter: CacheEmitter; readonly events: AllEvents } {
  const emitter: CacheEmitter = new EventEmitter();
  emitter.setMaxListeners(0);
  const events = Object.fromEntries(
    NAMES.map((name) => [
      name,
      (...args: unknown[]) => {
        try {
          (emitter as EventEmitter).emit(name, ...args);
        } catch (error) {
          log.warn({ err: error }, `a listener of the cache's event ${name} failed`);
        }
      },
    ]),
  );
  return { emitter, events };
}
