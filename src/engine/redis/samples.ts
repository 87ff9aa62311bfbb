/** Samples in Redis: a stream that ends soon after the last sample, and a key that is there while samples are wanted. */
import { MAX_SAMPLES, SAMPLES_TTL_MS, type Samples } from '../cache/store.js';
import type { Groups } from './groups.js';
import { samplesKey, samplesWantedKey } from './key-layout.js';
import { repliesOf } from './scripts.js';

const BEFORE_ALL = '0-0';

type StreamRecord = [id: string, fields: string[]];

export class RedisSamples implements Samples {
  readonly #groups: Groups;
  readonly #requireOwned: () => void;

  /** @param requireOwned throws while the keys are not known to be this database's */
  constructor(groups: Groups, requireOwned: () => void) {
    this.#groups = groups;
    this.#requireOwned = requireOwned;
  }

  async want(ttlMs: number): Promise<void> {
    this.#requireOwned();
    const group = this.#groups.logGroup;
    await this.#groups.reading(group, 'WATCH', (client) => client.set(samplesWantedKey(group), '1', 'PX', ttlMs));
  }

  async add(text: string): Promise<void> {
    this.#requireOwned();
    const group = this.#groups.logGroup;
    const name = samplesKey(group);
    await this.#groups.reading(group, 'ADD SAMPLE', async (client) => {
      const pipeline = client.pipeline().xadd(name, 'MAXLEN', '~', MAX_SAMPLES, '*', 'sample', text);
      repliesOf(await pipeline.pexpire(name, SAMPLES_TTL_MS).exec());
    });
  }

  async since(mark: string | undefined): Promise<{ mark: string; texts: string[] }> {
    this.#requireOwned();
    const group = this.#groups.logGroup;
    const name = samplesKey(group);
    const found = await this.#groups.reading(group, 'READ SAMPLES', async (client): Promise<StreamRecord[]> => {
      if (mark === undefined) return client.xrevrange(name, '+', '-', 'COUNT', 1);
      // Not XRANGE: the server needs the right to XREAD in any case.
      const streams = await client.xread('COUNT', MAX_SAMPLES, 'STREAMS', name, mark);
      return streams?.[0]?.[1] ?? [];
    });
    const last = found.at(-1)?.[0] ?? mark ?? BEFORE_ALL;
    return { mark: last, texts: mark === undefined ? [] : found.map(([, [, text = '']]) => text) };
  }
}
