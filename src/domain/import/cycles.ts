/** Cycles of a directed graph. */

export interface Cycle<K> {
  readonly first: K;
  /** The key that leads back to `first`. */
  readonly last: K;
  /** From `first` to `last`. Call it before the search continues. */
  keys(): K[];
}

/**
 * Searches depth first: every edge is followed once. Yields a cycle for each edge that closes one.
 * @param next the keys to which edges lead
 */
export function* cyclesOf<K>(starts: Iterable<K>, next: (key: K) => Iterable<K>): Generator<Cycle<K>> {
  const done = -1;
  const depthOf = new Map<K, number>();
  const path: { readonly key: K; readonly edges: Iterator<K> }[] = [];
  const enter = (key: K) => {
    depthOf.set(key, path.length);
    path.push({ key, edges: next(key)[Symbol.iterator]() });
  };
  for (const start of starts) {
    if (!depthOf.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const edge = top.edges.next();
      const depth = edge.done ? undefined : depthOf.get(edge.value);
      if (edge.done) {
        depthOf.set(top.key, done);
        path.pop();
      } else if (depth === undefined) enter(edge.value);
      else if (depth !== done) {
        yield { first: edge.value, last: top.key, keys: () => path.slice(depth).map(({ key }) => key) };
      }
    }
  }
}
