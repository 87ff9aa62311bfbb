/** What tests of process memory share: a process that keeps values in memory, and another one, on one store. */
import {
  Cache,
  type CacheOptions,
  MemoryStore,
  type Outcome,
  type Policy,
  type Tag,
} from '../../src/engine/cache/index.js';
import { HOUR } from '../../src/std/time.js';
import { Trips } from './trips.js';
import { FakeClock, tagOf, tick } from './world.js';

/** Tasks, which also depend on a whole table. */
export function taskPolicy(table: Tag): Policy<number> {
  return { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id), table] };
}

/** @param options of the cache with memory, whose trips to the store can be held */
export async function twoCaches(options: Partial<CacheOptions> = {}) {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  const trips = new Trips();
  const outcomes: Outcome[] = [];
  const events = { outcome: (outcome: Outcome) => outcomes.push(outcome) };
  const cache = new Cache({ store: trips.over(memory), clock, events, random: () => 0, near: {}, ...options });
  const other = new Cache({ store: memory, clock });
  return { cache, other, memory, clock, trips, outcomes };
}
