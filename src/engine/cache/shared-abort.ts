/** The callers that wait for one piece of work. When the last has left, the work is abandoned. */

import { setMaxListeners } from 'node:events';

export class SharedAbort {
  #waiting = 0;
  readonly #gone = new AbortController();
  readonly #stops: (() => void)[] = [];

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
    signal.addEventListener('abort', leave, { once: true });
    this.#stops.push(() => signal.removeEventListener('abort', leave));
  }

  /** The work is over: leaving has no effect from now on. */
  end(): void {
    for (const stop of this.#stops) stop();
  }
}

/** The result of `run`, or the signal's reason as soon as it aborts. The run itself goes on. */
export async function abortable<T>(run: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return run;
  run.catch(() => {}); // its caller may have left
  signal.throwIfAborted();
  let leave: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([run, aborted]);
  } finally {
    signal.removeEventListener('abort', leave as () => void);
  }
}
