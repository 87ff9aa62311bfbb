/**
 * What one client of a query is sent: of the answers that have come only the newest, in its form. For the protocol it
 * is a stream without values that ends after the last answer: answers are text, and are written to the connection as
 * they are.
 */
import { digest } from '../../engine/cache/index.js';
import { SECOND } from '../../std/time.js';
import type { AnswerForm } from './answer-form.js';
import type { LiveReceiver } from './live-runs.js';
import type { PatchedAnswer } from './patches.js';
import type { AnswerSource, SendQueue } from './send-queue.js';

export interface AnswerStreamOptions {
  readonly sendQueue: SendQueue;
  /** The message of the protocol with this payload. */
  readonly message: (payload: string) => string;
  readonly form: AnswerForm;
  /** Whether the form uses them. */
  readonly wantsPatches: boolean;
  /** Holds an answer until the returned function is called. Undefined: there is no room for it. */
  readonly hold: (answer: PatchedAnswer) => (() => void) | undefined;
  /** Asks for an answer, for one that was not held. */
  readonly again: () => void;
  /** Called once, when the stream has ended. */
  readonly onEnd: () => void;
  /** Ends the connection, because its viewer no longer exists. */
  readonly viewerGone: () => void;
}

/** The wait before an answer that was not held is made again. */
const AGAIN_MS = SECOND;
const ENDED: IteratorResult<never> = { value: undefined, done: true };

/** Not a generator: its `return` would queue behind a waiting `next`. */
export class AnswerStream implements AsyncIterableIterator<never>, LiveReceiver, AnswerSource {
  readonly #options: AnswerStreamOptions;
  readonly #gone = new AbortController();
  #waiting: { readonly answer: PatchedAnswer; readonly release: () => void } | undefined;
  /** Whether an answer that came was not held. */
  #isOwed = false;
  #again: NodeJS.Timeout | undefined;
  /** The digest of the last answer that was sent. */
  #sent: string | undefined;
  #isLast = false;

  constructor(options: AnswerStreamOptions) {
    this.#options = options;
  }

  /** Aborts at the end. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get wantsPatches(): boolean {
    return this.#options.wantsPatches;
  }

  /** Takes the place of an answer that has not been sent. */
  answered(answer: PatchedAnswer): void {
    if (this.signal.aborted) return;
    this.#isOwed = !this.#hold(answer);
    this.#options.sendQueue.add(this);
  }

  /** The answer of a query that has only one. @returns false: there is no room for it */
  answeredOnce(text: string): boolean {
    if (this.signal.aborted) return true;
    this.#isLast = this.#hold({ number: 1, text, digest: digest(text) });
    if (this.#isLast) this.#options.sendQueue.add(this);
    return this.#isLast;
  }

  viewerGone(): void {
    this.#options.viewerGone();
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

  #hold(answer: PatchedAnswer): boolean {
    this.#drop();
    const release = this.#options.hold(answer);
    if (release !== undefined) this.#waiting = { answer, release };
    return release !== undefined;
  }

  #drop(): void {
    this.#waiting?.release();
    this.#waiting = undefined;
  }

  #askAgain(): void {
    this.#again = undefined;
    if (this.#isOwed) this.#options.again();
  }
}
