/** What the workload draws from: repeated by its seed. */
import type { Random } from '../test/chaos/random.js';

/** Ranks 0 to `size` - 1, the first most often: rank r with a probability proportional to 1 / (r + 1). */
export function zipf(size: number): (random: Random) => number {
  const cumulative = new Float64Array(size);
  let sum = 0;
  for (let rank = 0; rank < size; rank++) {
    sum += 1 / (rank + 1);
    cumulative[rank] = sum;
  }
  return (random) => {
    const at = random.next() * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** The wait until the next of arrivals that come independently, `rate` a second on average; ms. */
export function poissonGapMs(random: Random, rate: number): number {
  return (-Math.log(1 - random.next()) / rate) * 1000;
}
