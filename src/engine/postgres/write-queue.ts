/**
 * The queue for write connections. Each writer has its own line and a limited share of the connections, so many large
 * writes of one writer do not block others. A waiting write has not begun: it leaves the line when its request is
 * abandoned.
 */
import { FairQueue, QueueFull } from '../cache/fair-queue.js';
import type { Writer } from './writer.js';

/** Transactions that write at once in this process. */
export const MAX_WRITES = 5;
/** The share of the connections for writes that one writer may hold. */
const SHARE = 0.4;
/** Far more than a client sends at once on purpose. */
const MAX_WAITING_EACH = 200;
const MAX_WAITING = 2000;

/** Nothing was written: the client can send it again. */
export class TooManyWrites extends Error {
  override readonly name = 'TooManyWrites';
  readonly code = 'TOO_MANY_WRITES';
  readonly extensions = { outcome: 'NOT_STARTED', retryAfterMs: 1000 };
}

export class WriteQueue {
  readonly #queue: FairQueue;

  constructor(connections: number) {
    this.#queue = new FairQueue({
      max: connections,
      maxEach: Math.max(1, Math.floor(connections * SHARE)),
      maxWaitingEach: MAX_WAITING_EACH,
      maxWaiting: MAX_WAITING,
    });
  }

  get state(): FairQueue['state'] {
    return this.#queue.state;
  }

  /** @throws TooManyWrites; the signal's reason, when the write has not begun by then */
  async run<T>(by: Writer<string> | undefined, write: () => Promise<T>): Promise<T> {
    const turn = this.#queue.turn(by?.viewerId);
    await this.#begin(turn, by?.signal);
    try {
      return await write();
    } finally {
      turn.end();
    }
  }

  async #begin(turn: ReturnType<FairQueue['turn']>, signal: AbortSignal | undefined): Promise<void> {
    try {
      await turn.begin(signal);
    } catch (error) {
      if (!(error instanceof QueueFull)) throw error;
      const whose = error.of === 'owner' ? 'of your writes' : 'writes';
      const message = `Too many ${whose} are waiting already. Nothing was written: send this again in a second.`;
      throw new TooManyWrites(message, { cause: error });
    }
  }
}
