/** The subscription cacheActivity. */
import { Ctx, Resolver, Root, Subscription } from 'type-graphql';
import type { ReleasedBy } from '../../engine/cache/index.js';
import type { SubscriptionContext } from '../../graphql/context.js';
import { isUnauthenticated } from '../../graphql/errors.js';
import type { EventQueue } from '../../graphql/event-queue.js';
import { instanceOf } from '../../graphql/schema.js';
import type { Activity, ActivityMessage, PolicyActivity } from '../../platform/activity/index.js';
import { SECOND } from '../../std/time.js';
import { refuseDeactivated } from '../users/user.resolver.js';
import { CacheActivity, CacheInvalidationOrigin, type CacheMiss, type CachePolicyActivity } from './activity.type.js';
import { outcomeCounts } from './outcome-counts.js';
import { requireAdmin } from './require-admin.js';

/** In points, of each message, whatever is selected of it: its parts were made before. */
const COST = 5;
/** How often the viewer is checked: a check is a call of the cache, which the messages count. */
const CHECK_EVERY_MS = 10 * SECOND;

const ORIGINS: Readonly<Record<ReleasedBy, CacheInvalidationOrigin>> = {
  writer: CacheInvalidationOrigin.API,
  relay: CacheInvalidationOrigin.OUTSIDE,
  recovery: CacheInvalidationOrigin.RECOVERED,
  hand: CacheInvalidationOrigin.MANUAL,
};

@Resolver()
export class ActivityResolver {
  constructor(private readonly activity: Activity) {}

  @Subscription(() => CacheActivity, {
    description:
      'What all processes do, about once a second: how operations were answered, calls of cached fields, ' +
      'invalidations, and the state of the cache. Processes count only while someone subscribes. Requires a token ' +
      'with the scope cache:admin.',
    complexity: () => COST,
    subscribe: ({ context, info }) => instanceOf(info, ActivityResolver).subscribe(context),
  })
  cacheActivity(@Root() message: ActivityMessage, @Ctx() _context: SubscriptionContext): CacheActivity {
    return {
      ...message,
      policies: message.policies.map(policyActivity),
      misses: message.misses.map(missOf),
      invalidations: message.invalidations.map(({ by, ...rest }) => ({ ...rest, origin: ORIGINS[by] })),
    };
  }

  /** @throws FORBIDDEN */
  private subscribe(context: SubscriptionContext): Messages {
    requireAdmin(context);
    return new Messages(context, (tell) => this.activity.watch(tell));
  }
}

/** Not a generator: `return` must end a waiting `next`, and a generator would queue it behind `next`. */
class Messages implements AsyncIterableIterator<ActivityMessage> {
  readonly #context: SubscriptionContext;
  readonly #queue: EventQueue<ActivityMessage>;
  readonly #leave: () => void;
  #checkedAtMs = performance.now();

  constructor(context: SubscriptionContext, watch: (tell: (message: ActivityMessage) => void) => () => void) {
    this.#context = context;
    this.#queue = context.queue();
    this.#leave = watch((message) => this.#queue.put(message));
  }

  async next(): Promise<IteratorResult<ActivityMessage>> {
    const message = await this.#queue.take();
    if (message === undefined) return this.return();
    try {
      await this.#check();
    } catch (error) {
      // What else fails is an outage, which is what operators watch for.
      if (!isUnauthenticated(error)) return { value: message, done: false };
      await this.return();
      throw error;
    }
    return { value: message, done: false };
  }

  /** @throws UNAUTHENTICATED if the viewer is deactivated */
  async #check(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#checkedAtMs < CHECK_EVERY_MS) return;
    this.#checkedAtMs = nowMs;
    this.#context.renew({ direct: false });
    await refuseDeactivated(this.#context.loaders, this.#context.viewerId);
  }

  async return(): Promise<IteratorResult<ActivityMessage>> {
    this.#leave();
    this.#queue.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function policyActivity({ name, outcomes, reasons, missMs, servedChars }: PolicyActivity): CachePolicyActivity {
  return { name, ...outcomeCounts(outcomes), reasons, missMs, servedBytes: servedChars };
}

export function missOf({ atMs, ...rest }: ActivityMessage['misses'][number]): CacheMiss {
  return { ...rest, at: new Date(atMs) };
}
