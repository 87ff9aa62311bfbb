/**
 * Sends one client the answers of its query: the newest one only, in the client's form. As an iterator it has no values
 * and ends after the last answer: answers are text, which the send queue writes to the connection as it is.
 */
import { digest } from '../../engine/cache/index.js';
import { SECOND } from '../../std/time.js';
import type { AnswerForm } from './answer-form.js';
import type { LiveReceiver } from './live-runs.js';
import type { PatchedAnswer } from './patches.js';
import type { AnswerSource, SendQueue } from './send-queue.js';

export interface AnswerStreamOptions {
  readonly sendQueue: SendQueue;
  /** Makes the protocol's message with this payload. */
  readonly message: (payload: string) => string;
  readonly form: AnswerForm;
  /** Whether the form uses the patches of answers. */
  readonly wantsPatches: boolean;
  /** Counts an answer that waits until the returned function is called. Undefined: there is no room for it. */
  readonly hold: (answer: PatchedAnswer) => (() => void) | undefined;
  /** Asks for an answer in place of one that was not held. */
  readonly again: () => void;
  /** Called once, when the stream has ended. */
  readonly onEnd: () => void;
  /** Ends the connection, because its viewer no longer exists. */
  readonly viewerGone: () => void;
}

/** The wait before an answer is asked for again, because the last one was not held. */
const AGAIN_MS = SECOND;
const ENDED: IteratorResult<never> = { value: undefined, done: true };

/** Not a generator: its `return` would queue behind a waiting `next`. */
export class AnswerStream implements AsyncIterableIterator<never>, LiveReceiver, AnswerSource {
  readonly #options: AnswerStreamOptions;
  readonly #gone = new AbortController();
  /** The answer that waits. Without `release` it is not counted: it is about to be taken, or found no room. */
  #waiting: { readonly answer: PatchedAnswer; readonly release: (() => void) | undefined } | undefined;
  /** Whether the newest answer was not held. */
  #isOwed = false;
  #again: NodeJS.Timeout | undefined;
  /** The digest of the last answer that was sent. */
  #sent: string | undefined;
  #isLast = false;

  constructor(options: AnswerStreamOptions) {
    this.#options = options;
  }

  /** Aborts when the stream ends. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get wantsPatches(): boolean {
    return this.#options.wantsPatches;
  }

  /** Replaces an answer that waits. */
  answered(answer: PatchedAnswer): void {
    if (this.signal.aborted) return;
    this.#isOwed = !this.#put(answer);
    this.#options.sendQueue.add(this);
  }

  /** Sends the only answer of a query that is not live. @returns whether there was room for it */
  answeredOnce(text: string): boolean {
    if (this.signal.aborted) return true;
    this.#isLast = this.#put({ number: 1, text, digest: digest(text) });
    if (this.#isLast) this.#options.sendQueue.add(this);
    return this.#isLast;
  }

  viewerGone(): void {
    this.#options.viewerGone();
  }

  get bytes(): number {
    return this.#waiting === undefined ? 0 : Buffer.byteLength(this.#waiting.answer.text);
  }

  waits(): void {
    if (this.#waiting === undefined || this.#waiting.release !== undefined) return;
    const { answer } = this.#waiting;
    // The only answer cannot be asked for again: it stays, and counts if there is room.
    if (this.#isLast) this.#waiting = { answer, release: this.#options.hold(answer) };
    else this.#isOwed = !this.#hold(answer);
  }

  take(): string | undefined {
    const { answer } = this.#waiting ?? {};
    this.#drop();
    if (this.#isOwed) this.#again ??= setTimeout(() => this.#askAgain(), AGAIN_MS).unref();
    if (answer === undefined || answer.digest === this.#sent) return undefined;
    const before = this.#sent;
    this.#sent = answer.digest;
    return this.#options.message(this.#options.form(answer, before));
  }

  sent(): void {
    if (this.#isLast) void this.return();
  }

  next(): Promise<IteratorResult<never>> {
    return new Promise((resolve) => {
      if (this.signal.aborted) resolve(ENDED);
      else this.signal.addEventListener('abort', () => resolve(ENDED), { once: true });
    });
  }

  async return(): Promise<IteratorResult<never>> {
    if (this.signal.aborted) return ENDED;
    this.#gone.abort();
    this.#drop();
    clearTimeout(this.#again);
    this.#options.sendQueue.remove(this);
    this.#options.onEnd();
    return ENDED;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An answer that the connection can take at once needs no room: there is one for each connection. */
  #put(answer: PatchedAnswer): boolean {
    if (!this.#options.sendQueue.isIdle) return this.#hold(answer);
    this.#drop();
    this.#waiting = { answer, release: undefined };
    return true;
  }

  #hold(answer: PatchedAnswer): boolean {
    this.#drop();
    const release = this.#options.hold(answer);
    if (release !== undefined) this.#waiting = { answer, release };
    return release !== undefined;
  }

  #drop(): void {
    this.#waiting?.release?.();
    this.#waiting = undefined;
  }

  #askAgain(): void {
    this.#again = undefined;
    if (this.#isOwed) this.#options.again();
  }
}
