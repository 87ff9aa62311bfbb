/**
 * Watches the cache in production, after the method of Polaris (Meta, "Cache made consistent", 2022): of some hits the source is
 * read again. Only what cannot be anything else counts as a violation: the tags held the entry's own tokens before that read, after
 * it, and still when every write that was committed by then must have been applied; and the values differ.
 */

import { encode } from './codec.js';
import { purgeOf, stampText } from './entry.js';
import type { CacheEvents } from './events.js';
import type { RecordedRead } from './read-set.js';
import { LEASE_MS, type Store } from './store.js';
import type { Clock } from './time.js';

/** A write that went around the API is in Postgres before its tags are bumped: twice the bound says that it was not one. */
const SETTLE_MS = 2 * LEASE_MS;

export class Monitor {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #events: CacheEvents;
  #checking = false;

  constructor(options: { store: Store; clock: Clock; events: CacheEvents }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#events = options.events;
  }

  /** One check at a time; what is asked for meanwhile is not checked. Never throws. */
  async check(name: string, use: RecordedRead, served: unknown, load: () => Promise<unknown>): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    try {
      this.#events.checked?.(await this.#compare(use, served, load), { name, key: use.key });
    } catch {
      // A check that could not be made says nothing; what failed is told by whoever needs it.
    } finally {
      this.#checking = false;
    }
  }

  async #compare(
    use: RecordedRead,
    served: unknown,
    load: () => Promise<unknown>,
  ): Promise<'same' | 'changed' | 'violation'> {
    if (!(await this.#holds(use))) return 'changed';
    const loaded = await load();
    if (encode(loaded).text === encode(served).text) return 'same';
    if (!(await this.#holds(use))) return 'changed';
    await this.#clock.sleep(SETTLE_MS);
    return (await this.#holds(use)) ? 'violation' : 'changed';
  }

  async #holds(use: RecordedRead): Promise<boolean> {
    return stampsNow(await this.#store.read([], use.tags), use) === use.stamps;
  }
}

/** The stamps that an entry filled now would get; undefined without a lease or with a tag that has no token. */
export function stampsNow(
  view: Awaited<ReturnType<Store['read']>>,
  { tags, groups }: RecordedRead,
): string | undefined {
  const purge = purgeOf(view.leases, groups);
  const tokens = tags.map((tag) => view.tokens.get(tag));
  return purge === undefined || tokens.includes(undefined) ? undefined : stampText(purge, tokens as string[]);
}
