/** The callers that wait for one piece of work. When the last has left, the work is abandoned. */

import { setMaxListeners } from 'node:events';

const ONCE = { once: true };

interface Caller {
  readonly signal: AbortSignal;
  readonly leave: () => void;
}

export class SharedAbort {
  #waiting = 0;
  readonly #gone = new AbortController();
  readonly #callers: Caller[] = [];

  constructor() {
    setMaxListeners(0, this.#gone.signal); // a load may run many statements
  }

  /** Aborts when the last caller has left, with its reason. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Adds a caller. It waits until `signal` aborts or, without one, to the end. */
  add(signal: AbortSignal | undefined): void {
    this.#waiting++;
    if (signal === undefined) return;
    const leave = () => {
      if (--this.#waiting === 0) this.#gone.abort(signal.reason);
    };
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, ONCE);
    this.#callers.push({ signal, leave });
  }

  /** The work is over: leaving has no effect from now on. */
  end(): void {
    for (const { signal, leave } of this.#callers) signal.removeEventListener('abort', leave);
  }
}

/** The result of `run`, or the signal's reason as soon as it aborts. The run itself goes on. */
export function abortable<T>(run: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return run;
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, ONCE);
    const settle =
      <R>(end: (result: R) => void) =>
      (result: R) => {
        signal.removeEventListener('abort', leave);
        end(result); // to no effect, if the caller has left
      };
    run.then(settle(resolve), settle(reject));
  });
}
