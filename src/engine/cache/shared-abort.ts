/** Who waits for a piece of work. Each may leave; when the last has gone, the work is given up. */

import { setMaxListeners } from 'node:events';

export class SharedAbort {
  #waiting = 0;
  readonly #gone = new AbortController();
  readonly #stops: (() => void)[] = [];

  constructor() {
    setMaxListeners(0, this.#gone.signal); // a load may be many statements
  }

  /** Aborts when the last of them has left, with that one's reason. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** One more waits: until `signal` aborts, or, without one, to the end. */
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

  /** The work is over: who leaves now leaves nothing. */
  end(): void {
    for (const stop of this.#stops) stop();
  }
}

/** What `run` brings, or the signal's reason as soon as it aborts; the run itself goes on. */
export async function abortable<T>(run: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return run;
  run.catch(() => {}); // its caller may be gone
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
