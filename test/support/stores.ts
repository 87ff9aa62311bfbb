/** Stores for tests: over any store, one that counts the trips made, one whose steps can be held. */
import type { Store, StoreLink } from '../../src/engine/cache/index.js';
import type { Gates } from './barrier.js';

export interface StoreCounts {
  reads: number;
  fills: number;
  fences: number;
  releases: number;
}

export type StoreStep =
  | 'read'
  | 'fill'
  | 'claim'
  | 'fence'
  | 'release'
  | 'unfence'
  | 'sweep'
  | 'invalidate'
  | 'head'
  | 'apply'
  | 'remember'
  | 'recall'
  | 'count'
  | 'readCounters';

/** `before` each call of a step; what it throws is what the step throws. */
export function intercepted(store: Store, before: (step: StoreStep) => Promise<void> | void): Store {
  const through =
    <A extends unknown[], R>(step: StoreStep, method: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await before(step);
      return method.apply(store, args);
    };
  return {
    kind: store.kind,
    samples: store.samples,
    inspection: store.inspection,
    groups: store.groups,
    get link() {
      return store.link as StoreLink; // `undefined` in place of absent, where the store is in this process
    },
    groupOf: (name) => store.groupOf(name),
    bind: (database, owned) => store.bind(database, owned),
    read: through('read', store.read),
    fill: through('fill', store.fill),
    tryLockRefresh: through('claim', store.tryLockRefresh),
    fence: through('fence', store.fence),
    release: through('release', store.release),
    releaseFinished: through('unfence', store.releaseFinished),
    releaseOrphans: through('sweep', store.releaseOrphans),
    invalidate: through('invalidate', store.invalidate),
    head: through('head', store.head),
    apply: through('apply', store.apply),
    setText: through('remember', store.setText),
    getText: through('recall', store.getText),
    addCounters: through('count', store.addCounters),
    readCounters: through('readCounters', store.readCounters),
    subscribe: (hear) => store.subscribe(hear),
    outageMs: (tags) => store.outageMs(tags),
    close: () => store.close(),
  };
}

export function counted(store: Store, counts: StoreCounts): Store {
  const counters: Partial<Record<StoreStep, keyof StoreCounts>> = {
    read: 'reads',
    fill: 'fills',
    fence: 'fences',
    release: 'releases',
  };
  return intercepted(store, (step) => {
    const counter = counters[step];
    if (counter !== undefined) counts[counter]++;
  });
}

/** Each step waits before it is taken wherever the test holds its gate. */
export function gated(store: Store, gates: Gates<StoreStep>): Store {
  return intercepted(store, (step) => gates.pass(step));
}
