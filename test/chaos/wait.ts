/** Waiting, always with an end. */

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again until the answer is true; an error is a no. @throws after `withinMs`, saying what did not come true. */
export async function until(
  what: string,
  check: () => Promise<boolean> | boolean,
  { withinMs = 30_000, everyMs = 50 }: { withinMs?: number; everyMs?: number } = {},
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  let last: unknown;
  while (performance.now() < deadlineMs) {
    try {
      if (await check()) return;
    } catch (error) {
      last = error;
    }
    await sleep(everyMs);
  }
  throw new Error(`it did not come true within ${withinMs} ms that ${what}`, { cause: last });
}
