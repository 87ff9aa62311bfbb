/** Samples, and what an operator is shown, of the store in this process. */
import { type HeldTag, type Inspection, MAX_SAMPLES, SAMPLES_TTL_MS, type Samples } from './store.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

export class MemorySamples implements Samples {
  readonly #clock: Clock;
  readonly #requireOwned: () => void;
  #wantedUntilMs = 0;
  #samples: { readonly number: number; readonly text: string; readonly atMs: number }[] = [];
  #last = 0;

  /** @param requireOwned throws while the keys are not known to be this database's */
  constructor(clock: Clock, requireOwned: () => void) {
    this.#clock = clock;
    this.#requireOwned = requireOwned;
  }

  get wanted(): boolean {
    return this.#wantedUntilMs > this.#clock.nowMs();
  }

  async want(ttlMs: number): Promise<void> {
    this.#requireOwned();
    this.#wantedUntilMs = this.#clock.nowMs() + ttlMs;
  }

  async add(text: string): Promise<void> {
    this.#requireOwned();
    this.#samples.push({ number: ++this.#last, text, atMs: this.#clock.nowMs() });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  async since(mark: string | undefined): Promise<{ mark: string; texts: string[] }> {
    this.#requireOwned();
    const oldestMs = this.#clock.nowMs() - SAMPLES_TTL_MS;
    this.#samples = this.#samples.filter(({ atMs }) => atMs > oldestMs);
    const after = mark === undefined ? this.#last : Number(mark);
    const texts = this.#samples.filter(({ number }) => number > after).map(({ text }) => text);
    return { mark: String(this.#last), texts };
  }
}

/** There is no server, and so no trip, outage or breaker. */
export function inMemory(heldTag: (tag: Tag) => HeldTag | undefined): Inspection {
  return {
    openBreakers: 0,
    outageReason: undefined,
    groupName: () => '{memory}',
    async heldTags(tags) {
      const found = new Map<Tag, HeldTag>();
      for (const tag of tags) {
        const held = heldTag(tag);
        if (held !== undefined) found.set(tag, held);
      }
      return found;
    },
  };
}
