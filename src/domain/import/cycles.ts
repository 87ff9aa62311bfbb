/** Cycles of a directed graph. */

export interface Cycle<K> {
  readonly first: K;
  /** The key that leads back to `first`. */
  readonly last: K;
  /** From `first` to `last`. To be called before the search continues. */
  keys(): K[];
}

/**
 * Searches depth first: every edge is followed once, and each that closes a cycle yields that cycle.
 * @param next the keys to which edges lead
 */
export function* cyclesOf<K>(starts: Iterable<K>, next: (key: K) => Iterable<K>): Generator<Cycle<K>> {
  const done = -1;
  const placeOf = new Map<K, number>();
  const path: { readonly key: K; readonly edges: Iterator<K> }[] = [];
  const enter = (key: K) => {
    placeOf.set(key, path.length);
    path.push({ key, edges: next(key)[Symbol.iterator]() });
  };
  for (const start of starts) {
    if (!placeOf.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const edge = top.edges.next();
      const place = edge.done ? undefined : placeOf.get(edge.value);
      if (edge.done) {
        placeOf.set(top.key, done);
        path.pop();
      } else if (place === undefined) enter(edge.value);
      else if (place !== done) {
        yield { first: edge.value, last: top.key, keys: () => path.slice(place).map(({ key }) => key) };
      }
    }
  }
}
