/**
 * Sends answers over one connection, one at a time: each when the network has taken the one before. An answer is
 * fetched only when it can be sent, so a client that reads slowly gets the newest.
 */

/** What answers are fetched from. */
export interface AnswerSource {
  /** The next message. Undefined: there is no longer one. */
  take(): string | undefined;
  /** The network has taken it. */
  sent(): void;
}

export interface OutboxOptions {
  /** Resolves when the network has taken the message. */
  readonly send: (message: string) => Promise<void>;
  /** The connection has failed. */
  readonly failed: (error: unknown) => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** In the order in which they had something to send. */
  readonly #ready = new Set<AnswerSource>();
  #sending = false;
  #unsentBytes = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Bytes of the message that the network has not taken, at most. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** The source has a message. It is fetched soon, not within this call. */
  add(source: AnswerSource): void {
    this.#ready.add(source);
    if (this.#sending) return;
    this.#sending = true;
    setImmediate(() => void this.#sendAll());
  }

  remove(source: AnswerSource): void {
    this.#ready.delete(source);
  }

  async #sendAll(): Promise<void> {
    try {
      for (const source of this.#ready) {
        this.#ready.delete(source); // one that is added again comes after the others
        const message = source.take();
        if (message === undefined) continue;
        this.#unsentBytes = Buffer.byteLength(message);
        await this.#options.send(message);
        source.sent();
      }
    } catch (error) {
      this.#options.failed(error);
    } finally {
      this.#unsentBytes = 0;
      this.#sending = false;
    }
  }
}
