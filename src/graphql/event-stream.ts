/**
 * The events of one subscription. News that concern the subscription wait in a queue; each is judged by what its viewer
 * may see when its turn comes.
 */
import type { SubscriptionContext } from './context.js';
import type { EventQueue } from './event-queue.js';

const ENDED: IteratorResult<never> = { value: undefined, done: true };

/** Not a generator: `return` must end a waiting `next`, and a generator would queue it behind `next`. */
export abstract class EventStream<News, Event> implements AsyncIterableIterator<Event> {
  protected readonly context: SubscriptionContext;
  readonly #queue: EventQueue<News>;
  #leave: (() => void) | undefined;
  #last = false;

  constructor(context: SubscriptionContext) {
    this.context = context;
    this.#queue = context.queue();
  }

  /**
   * The event to send for this news, if any. Only reads, as it is repeated while Postgres is unavailable.
   * @throws the error that ends the subscription
   */
  protected abstract judge(news: News): Promise<Event | undefined>;

  /** Called once, when the subscription has ended. */
  onEnd(leave: () => void): void {
    this.#leave = leave;
  }

  end(): void {
    this.#queue.close();
    this.#leave?.();
    this.#leave = undefined;
  }

  async next(): Promise<IteratorResult<Event>> {
    try {
      while (!this.#last) {
        const news = await this.#queue.take();
        if (news === undefined) break;
        const event = await this.context.untilAvailable(() => this.context.inTurn(() => this.judge(news)));
        if (this.#queue.closed) break;
        if (event !== undefined) return { value: event, done: false };
      }
    } catch (error) {
      this.end();
      throw error;
    }
    this.end();
    return ENDED;
  }

  async return(): Promise<IteratorResult<Event>> {
    this.end();
    return ENDED;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  protected put(news: News): void {
    this.#queue.put(news);
  }

  /** No event follows that of the news which is being judged. */
  protected endAfterThis(): void {
    this.#last = true;
  }
}
