/**
 * Bounds the answers that wait for slow clients, in all and for each caller. An answer that does not fit is dropped: a
 * live query makes it again when its client can take it.
 */
import type { LiveAnswer } from '../../engine/cache/index.js';
import { MAX_UNREAD_BYTES } from '../http/unread-responses.js';

/** A caller may use at most a quarter of all characters. */
const CALLERS = 4;
/** Answers up to this size are always held: the limit of subscriptions per viewer bounds their number. */
const SMALL_CHARS = 4 * 1024;

export class WaitingAnswers {
  readonly #maxChars: number;
  readonly #chars = new Map<string, number>();
  #total = 0;
  /** How many clients wait for an answer, by caller and digest: they share one text, which counts once. */
  readonly #clients = new Map<string, number>();

  /** @param maxChars of all callers together: at least CALLERS times the length of the longest answer */
  constructor(maxChars = MAX_UNREAD_BYTES) {
    this.#maxChars = maxChars;
  }

  /** Characters of all answers that are held. */
  get chars(): number {
    return this.#total;
  }

  /** Counts an answer until the returned function is called. Undefined: there is no room for it. */
  hold(caller: string, { digest, text }: Pick<LiveAnswer, 'digest' | 'text'>): (() => void) | undefined {
    const key = `${caller} ${digest}`;
    const clients = this.#clients.get(key) ?? 0;
    if (clients === 0 && !this.#hasRoom(caller, text.length)) return undefined;
    this.#clients.set(key, clients + 1);
    if (clients === 0) this.#add(caller, text.length);
    return () => this.#release(key, caller, text.length);
  }

  #hasRoom(caller: string, chars: number): boolean {
    if (chars <= SMALL_CHARS) return true;
    const own = this.#chars.get(caller) ?? 0;
    return own + chars <= this.#maxChars / CALLERS && this.#total + chars <= this.#maxChars;
  }

  #release(key: string, caller: string, chars: number): void {
    const clients = (this.#clients.get(key) ?? 0) - 1;
    if (clients > 0) {
      this.#clients.set(key, clients);
      return;
    }
    this.#clients.delete(key);
    this.#add(caller, -chars);
  }

  #add(caller: string, chars: number): void {
    this.#total += chars;
    const own = (this.#chars.get(caller) ?? 0) + chars;
    if (own > 0) this.#chars.set(caller, own);
    else this.#chars.delete(caller);
  }
}
