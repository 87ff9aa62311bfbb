/**
 * Sends answers over one connection, one at a time: each when the network has taken the one before and the process has
 * room for it. An answer is taken from its source only when it can be sent, so a client that reads slowly gets the
 * newest.
 */
import { SMALL_BYTES } from '../http/unread-responses.js';

/** What answers are taken from. */
export interface AnswerSource {
  /** The message to send now. Undefined: there is nothing to send any more. */
  take(): string | undefined;
  /** The network has taken the last message. */
  sent(): void;
}

/** Room for answers among all that this process holds for clients that have not read it. Sizes may be estimates. */
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

/** The size of a source's first message is not known before it is taken: it needs room as a large one does. */
const UNKNOWN_BYTES = SMALL_BYTES + 1;

export class SendQueue {
  readonly #options: SendQueueOptions;
  /** In the order in which they had something to send. */
  readonly #ready = new Set<AnswerSource>();
  /** Size of the last message of each source: the estimate for the next one. */
  readonly #lastBytes = new WeakMap<AnswerSource, number>();
  /** Whether a message is being sent or waits for room, or the next one is about to be chosen. */
  #busy = false;
  #unsentBytes = 0;
  #waiting: { readonly source: AnswerSource; readonly stop: () => void } | undefined;

  constructor(options: SendQueueOptions) {
    this.#options = options;
  }

  /** Size of the message that the network has not taken yet, in bytes. 0 without one. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** The source has a message. It is taken soon, never within this call. */
  add(source: AnswerSource): void {
    this.#ready.add(source);
    if (!this.#busy) this.#nextSoon();
    else if (this.#waiting && this.#bytesOf(source) < this.#bytesOf(this.#waiting.source)) this.#chooseAgain();
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
    const stop = this.#options.room.when(this.#bytesOf(source), () => {
      begun = true;
      this.#waiting = undefined;
      void this.#send(source);
    });
    if (!begun) this.#waiting = { source, stop };
  }

  /** The first source; without room for its message the one with the smallest, which may need no room. */
  #chosen(): AnswerSource | undefined {
    const [first] = this.#ready;
    if (first === undefined || this.#options.room.has(this.#bytesOf(first))) return first;
    let smallest = first;
    for (const source of this.#ready) if (this.#bytesOf(source) < this.#bytesOf(smallest)) smallest = source;
    return smallest;
  }

  #bytesOf(source: AnswerSource): number {
    return this.#lastBytes.get(source) ?? UNKNOWN_BYTES;
  }

  async #send(source: AnswerSource): Promise<void> {
    this.#ready.delete(source); // one that is added again comes after the others
    try {
      const message = source.take();
      if (message !== undefined) {
        this.#unsentBytes = Buffer.byteLength(message);
        this.#lastBytes.set(source, this.#unsentBytes);
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
