/** One listener in place of several. */

type Listeners = { readonly [name: string]: ((...args: never[]) => void) | undefined };

/** Calls, for each of `names`, those of `listeners` that have it, in their order. A listener may not throw. */
export function combineListeners<L extends object>(listeners: readonly L[], names: readonly (keyof L & string)[]): L {
  const combined: Record<string, (...args: never[]) => void> = {};
  for (const name of names) {
    const those = listeners.flatMap((to) => (to as Listeners)[name]?.bind(to) ?? []);
    combined[name] = (...args) => {
      for (const listener of those) listener(...args);
    };
  }
  return combined as L;
}

/** The names of `CacheEvents`. */
export const CACHE_EVENTS = [
  ...([
    'outcome',
    'roundTrip',
    'writeStep',
    'loaded',
    'fenceSeen',
    'storeFailed',
    'unfenced',
    'validated',
    'checked',
  ] as const),
];
