/**
 * Waiting for Redis, with an end. A process whose event loop is busy runs its timers before it reads what has long
 * arrived on its sockets; a command that was answered meanwhile must not count as lost. So who has waited long enough
 * first looks once more.
 */

export const TIMED_OUT = 'no answer in time';

/** @throws Error TIMED_OUT after `ms`, and not before the sockets were read once after that. */
export function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  const deadlineMs = performance.now() + ms;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout;
    let look: NodeJS.Immediate | undefined;
    const wait = (leftMs: number) => {
      timer = setTimeout(() => {
        // A timer that was set late in a long turn counts from the turn's beginning.
        const nowLeftMs = deadlineMs - performance.now();
        if (nowLeftMs > 1) wait(nowLeftMs);
        else look = setImmediate(() => reject(new Error(TIMED_OUT)));
      }, leftMs);
    };
    const stopWaiting = () => {
      clearTimeout(timer);
      clearImmediate(look);
    };
    wait(ms);
    work.then(
      (value) => {
        stopWaiting();
        resolve(value);
      },
      (error) => {
        stopWaiting();
        reject(error);
      },
    );
  });
}
