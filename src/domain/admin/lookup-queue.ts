/** The line in which lookups of operators wait: each searches thousands of rows, or all of process memory. */
import { GraphQLError } from 'graphql';
import { FairQueue, QueueFull } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { MAX_ALIASES } from '../../graphql/limits.js';

/** In this process at once. */
const MAX_RUNNING = 1;
/** Of one viewer: those of two operations. */
const MAX_WAITING_EACH = 2 * MAX_ALIASES;
const MAX_WAITING = 10 * MAX_ALIASES;
const RETRY_AFTER_MS = 1000;

export class LookupQueue {
  readonly #queue = new FairQueue({ max: MAX_RUNNING, maxWaitingEach: MAX_WAITING_EACH, maxWaiting: MAX_WAITING });

  /** @throws RATE_LIMITED; the signal's reason, if the client goes before its turn: then `lookUp` never runs */
  async run<T>({ viewerId, signal }: Context, lookUp: () => Promise<T>): Promise<T> {
    try {
      return await this.#queue.run(viewerId, signal, lookUp);
    } catch (error) {
      if (!(error instanceof QueueFull)) throw error;
      throw new GraphQLError('Too many lookups are waiting already. Send this again in a second.', {
        extensions: { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
      });
    }
  }
}
