/** How long a piece of code takes: the median of a few rounds. */
const ROUNDS = 5;

export function microseconds(run: () => unknown, runs = 200): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startedMs = performance.now();
    for (let i = 0; i < runs; i++) run();
    return ((performance.now() - startedMs) * 1000) / runs;
  });
  return rounds.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] as number;
}
