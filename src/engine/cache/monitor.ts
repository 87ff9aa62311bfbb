/**
 * Watches the cache in production, after the method of Polaris (Meta, "Cache made consistent", 2022): reads the source
 * again for some hits. A violation needs proof: the tags held the entry's own tokens before that read, after it, and
 * still when every write committed by then must have been applied, and the values differ.
 */

import { encode } from './codec.js';
import { purgeOf, stampText } from './entry.js';
import type { CacheEvents, CheckResult } from './events.js';
import type { RecordedRead } from './read-set.js';
import { type EntryStore, LEASE_MS } from './store.js';
import type { Clock } from './time.js';

/**
 * A write made outside the API is in Postgres before its tags are invalidated. After twice the bound it cannot explain
 * a difference.
 */
const SETTLE_MS = 2 * LEASE_MS;

export class Monitor {
  readonly #store: EntryStore;
  readonly #clock: Clock;
  readonly #events: CacheEvents;
  #checking = false;

  constructor(options: { store: EntryStore; clock: Clock; events: CacheEvents }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#events = options.events;
  }

  /** One check at a time; calls during a check are not checked. Never throws. */
  async check(name: string, use: RecordedRead, served: unknown, load: () => Promise<unknown>): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    try {
      this.#events.checked?.(await this.#compare(use, served, load), { name, key: use.key });
    } catch {
      // A failed check shows nothing. The failure itself is reported by the reads that it concerns.
    } finally {
      this.#checking = false;
    }
  }

  async #compare(use: RecordedRead, served: unknown, load: () => Promise<unknown>): Promise<CheckResult> {
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

/** The stamps that an entry stored now would get; undefined without a lease or with a tag that has no token. */
export function stampsNow(
  view: Awaited<ReturnType<EntryStore['read']>>,
  { tags, groups }: RecordedRead,
): string | undefined {
  const purge = purgeOf(view.leases, groups);
  const tokens = tags.map((tag) => view.tokens.get(tag));
  return purge === undefined || tokens.includes(undefined) ? undefined : stampText(purge, tokens as string[]);
}
