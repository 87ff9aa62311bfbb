/**
 * Bounds the answers that wait for slow clients, in all and for each caller. An answer that does not fit is dropped: a
 * live query makes it again when its client can take it.
 */
import { BytesByCaller } from '../http/bytes-by-caller.js';
import { MAX_UNREAD_BYTES } from '../http/unread-responses.js';
import type { PatchedAnswer } from './patches.js';

/** A caller may use at most a quarter of all characters. */
const CALLERS = 4;
/** Answers up to this size are always held: the limit of subscriptions per viewer bounds their number. */
const SMALL_CHARS = 4 * 1024;

export class WaitingAnswers {
  readonly #maxChars: number;
  readonly #held = new BytesByCaller();

  /** @param maxChars of all callers together: at least CALLERS times the length of the longest answer */
  constructor(maxChars = MAX_UNREAD_BYTES) {
    this.#maxChars = maxChars;
  }

  /** Characters of all answers that are held, and of their patches. */
  get chars(): number {
    return this.#held.total;
  }

  /** Counts an answer until the returned function is called. Undefined: there is no room for it. */
  hold(caller: string, { text, patch }: Pick<PatchedAnswer, 'text' | 'patch'>): (() => void) | undefined {
    const chars = text.length + (patch?.operations.length ?? 0);
    return this.#hasRoom(caller, chars) ? this.#held.holdUntilReleased(caller, chars) : undefined;
  }

  #hasRoom(caller: string, chars: number): boolean {
    if (chars <= SMALL_CHARS) return true;
    return this.#held.of(caller) + chars <= this.#maxChars / CALLERS && this.#held.total + chars <= this.#maxChars;
  }
}
