/** What an operator is shown of the store in Redis. */
import type { HeldTag, Inspection } from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import type { Groups } from './groups.js';
import { tagKey } from './key-layout.js';
import { repliesOf } from './scripts.js';

export class RedisInspection implements Inspection {
  readonly #groups: Groups;

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  get openBreakers(): number {
    return this.#groups.all.filter(({ breaker }) => breaker.isOpen).length;
  }

  get outageReason(): string | undefined {
    return this.#groups.all.find(({ outage }) => outage.reason !== undefined)?.outage.reason;
  }

  groupName(group: number): string {
    return this.#groups.at(group).hashTag;
  }

  async heldTags(tags: readonly Tag[]): Promise<ReadonlyMap<Tag, HeldTag>> {
    const found = new Map<Tag, HeldTag>();
    const parts = this.#groups.split({ keys: [], tags }).filter((part) => part.tags.length > 0);
    await Promise.all(
      parts.map(({ group, tags: own }) =>
        this.#groups.reading(group, 'read', async (client) => {
          const pipeline = client.pipeline();
          for (const tag of own) pipeline.get(tagKey(group, tag)).pttl(tagKey(group, tag));
          const replies = repliesOf(await pipeline.exec());
          own.forEach((tag, i) => {
            const [text, ttlMs] = replies.slice(2 * i, 2 * i + 2) as [string | null, number];
            if (text !== null) found.set(tag, { text, ttlMs: ttlMs < 0 ? undefined : ttlMs });
          });
        }),
      ),
    );
    return found;
  }
}
