/** Randomness that a seed repeats. The seed gives the choices of a run; what the machine does between them it cannot give. */

export interface Random {
  /** From 0 to 1, 1 excluded. */
  next(): number;
  /** From `from` to `to`. */
  between(from: number, to: number): number;
  /** Whole, from 0 to `below`, excluded. */
  integer(below: number): number;
  pick<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
  chance(probability: number): boolean;
}

/** Mulberry32: 32 bits of state are plenty for choosing faults and rows. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (below: number) => Math.floor(next() * below);
  return {
    next,
    integer,
    between: (from, to) => from + next() * (to - from),
    pick: <T>(items: readonly T[]) => {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[integer(items.length)] as T;
    },
    shuffled: <T>(items: readonly T[]) => {
      const rest = [...items];
      const order: T[] = [];
      while (rest.length > 0) order.push(...rest.splice(integer(rest.length), 1));
      return order;
    },
    chance: (probability) => next() < probability,
  };
}
