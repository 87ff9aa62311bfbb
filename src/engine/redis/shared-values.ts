/** Texts and counters that all processes share: see `SharedValues` in store.ts. */
import { MAX_TEXTS, type SharedValues } from '../cache/store.js';
import { DAY } from '../cache/time.js';
import type { Groups } from './groups.js';
import { countersKey, textIndexKey, textKey } from './key-layout.js';
import { repliesOf } from './scripts.js';

const COUNTERS_TTL_MS = 8 * DAY;

export class RedisSharedValues implements SharedValues {
  readonly #groups: Groups;
  readonly #requireOwned: () => void;

  /** @param requireOwned throws while the keys are not known to be this database's */
  constructor(groups: Groups, requireOwned: () => void) {
    this.#groups = groups;
    this.#requireOwned = requireOwned;
  }

  async setText(name: string, text: string, ttlMs: number): Promise<void> {
    this.#requireOwned();
    const group = this.#groups.at(this.#groups.indexOf(name));
    const [key, index] = [textKey(group, name), textIndexKey(group)];
    const maxTexts = Math.ceil(MAX_TEXTS / this.#groups.all.length);
    await this.#groups.reading(group, 'SET TEXT', async (client) => {
      // In the index first: a text that is not in it could not be dropped. All in one trip, but for what must be
      // dropped.
      const [, , count] = await Promise.all([
        client.zadd(index, Date.now(), key),
        client.set(key, text, 'PX', ttlMs),
        client.zcard(index),
      ]);
      if (count <= maxTexts) return;
      const dropped = await client.zpopmin(index, count - maxTexts);
      await client.del(...dropped.filter((_, i) => i % 2 === 0)); // between them are their times
    });
  }

  async getText(name: string): Promise<string | undefined> {
    const group = this.#groups.at(this.#groups.indexOf(name));
    return (await this.#groups.reading(group, 'GET TEXT', (client) => client.get(textKey(group, name)))) ?? undefined;
  }

  async addCounters(day: string, counts: ReadonlyMap<string, number>): Promise<void> {
    this.#requireOwned();
    const group = this.#groups.logGroup;
    await this.#groups.reading(group, 'ADD COUNTERS', async (client) => {
      const name = countersKey(group, day);
      const pipeline = client.pipeline();
      for (const [field, count] of counts) pipeline.hincrby(name, field, count);
      repliesOf(await pipeline.pexpire(name, COUNTERS_TTL_MS).exec());
    });
  }

  async readCounters(day: string): Promise<ReadonlyMap<string, number>> {
    const group = this.#groups.logGroup;
    const found = await this.#groups.reading(group, 'READ COUNTERS', (client) =>
      client.hgetall(countersKey(group, day)),
    );
    return new Map(Object.entries(found).map(([field, count]) => [field, Number(count)]));
  }
}
