/**
 * Sends answers over one connection, one at a time: each when the network has taken the one before and the process has
 * room for it. An answer is taken from its source only when it can be sent, so a client that reads slowly gets the
 * newest.
 */
/** What answers are taken from. */
export interface AnswerSource {
  /** Size of the message to send, without what the protocol adds. 0: there is nothing to send any more. */
  readonly bytes: number;
  /** The message is not taken yet, because there is no room for it. */
  waits(): void;
  /** The message to send now. Undefined: there is nothing to send any more. */
  take(): string | undefined;
  /** The network has taken the last message. */
  sent(): void;
}

/** Room for answers among all that this process holds for clients that have not read it. */
export interface Room {
  has(bytes: number): boolean;
  /** Calls `begin` when there is room, at once if there is now. @returns a function that ends the wait */
  when(bytes: number, begin: () => void): () => void;
}

export interface SendQueueOptions {
  readonly room: Room;
  /** Begins at once. Resolves when the network has taken the message. */
  readonly send: (message: string) => Promise<void>;
  /** The connection has failed. */
  readonly failed: (error: unknown) => void;
}

export class SendQueue {
  readonly #options: SendQueueOptions;
  /** In the order in which they had something to send. */
  readonly #ready = new Set<AnswerSource>();
  /** Whether a message is being sent or waits for room, or the next one is about to be chosen. */
  #busy = false;
  #unsentBytes = 0;
  #waiting: { readonly source: AnswerSource; readonly bytes: number; readonly stop: () => void } | undefined;

  constructor(options: SendQueueOptions) {
    this.#options = options;
  }

  /** Size of the message that the network has not taken yet, in bytes. 0 without one. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Whether a message that is added now is taken in the next turn of the event loop, if there is room for it. */
  get isIdle(): boolean {
    return !this.#busy;
  }

  /** The source has a message, or another one. It is taken soon, never within this call. */
  add(source: AnswerSource): void {
    this.#ready.add(source);
    const waiting = this.#waiting;
    if (!this.#busy) this.#nextSoon();
    else if (waiting && (source === waiting.source || source.bytes < waiting.bytes)) this.#chooseAgain();
  }

  remove(source: AnswerSource): void {
    this.#ready.delete(source);
    if (this.#waiting?.source === source) this.#chooseAgain();
  }

  #chooseAgain(): void {
    this.#waiting?.stop();
    this.#waiting = undefined;
    this.#nextSoon();
  }

  #nextSoon(): void {
    this.#busy = true;
    setImmediate(() => this.#next());
  }

  #next(): void {
    const source = this.#chosen();
    if (source === undefined) {
      this.#busy = false;
      return;
    }
    let begun = false;
    const stop = this.#options.room.when(source.bytes, () => {
      begun = true;
      this.#waiting = undefined;
      void this.#send(source);
    });
    if (begun) return;
    this.#waiting = { source, bytes: source.bytes, stop };
    source.waits();
  }

  /** The first source; without room for its message the one with the smallest, which may need no room. */
  #chosen(): AnswerSource | undefined {
    const [first] = this.#ready;
    if (first === undefined || this.#options.room.has(first.bytes)) return first;
    let smallest = first;
    for (const source of this.#ready) if (source.bytes < smallest.bytes) smallest = source;
    return smallest;
  }

  async #send(source: AnswerSource): Promise<void> {
    this.#ready.delete(source); // one that is added again comes after the others
    try {
      const message = source.take();
      if (message !== undefined) {
        this.#unsentBytes = Buffer.byteLength(message);
        await this.#options.send(message);
        source.sent();
      }
    } catch (error) {
      this.#options.failed(error);
    }
    this.#unsentBytes = 0;
    this.#nextSoon();
  }
}
