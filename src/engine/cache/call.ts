/** A cached call: its key and tags, computed once for repeated arguments. */
import { CacheError } from './errors.js';
import { type Key, keyOf } from './key.js';
import type { Policy } from './policy.js';
import { RecentMap } from './recent-map.js';
import { type EntryStore, LOG_GROUP } from './store.js';
import type { Tag } from './tag.js';

/** An entry under more tags is not stored: reading that many tokens costs as much as the load. */
export const MAX_TAGS = 200;
/** Calls remembered for each policy, at most twice as many. */
const MAX_CALLS_PER_POLICY = 10_000;
const ONLY_LOG_GROUP: readonly number[] = [LOG_GROUP];

export interface Call<A> {
  readonly arg: A;
  readonly key: Key;
  readonly tags: readonly Tag[];
  /** The store's groups whose leases prove an entry of this call. */
  readonly groups: readonly number[];
}

export interface IndexedCall<A> extends Call<A> {
  readonly index: number;
}

/** The remembered calls of one policy, with the fields that make their keys and tags. */
interface PolicyCalls extends Pick<Policy<never>, 'tags' | 'shape'> {
  readonly key: Policy<never>['key'] | undefined;
  readonly calls: RecentMap<string, Call<string>>;
}

export class CallNames {
  readonly #store: Pick<EntryStore, 'groups' | 'groupOf'>;
  /** By policy name. Bounded by the number of policies and MAX_CALLS_PER_POLICY. */
  readonly #callsByPolicy = new Map<string, PolicyCalls>();

  constructor(store: Pick<EntryStore, 'groups' | 'groupOf'>) {
    this.#store = store;
  }

  /**
   * Key and tags are functions of policy and argument, so those of a string argument are remembered.
   * @throws CacheError POLICY
   */
  call<A>(policy: Policy<A>, arg: A, viewer: string | undefined): Call<A> {
    if (typeof arg !== 'string' || policy.scope !== 'public') return this.#describe(policy, arg, viewer);
    let known = this.#callsByPolicy.get(policy.name);
    // Another policy object of the same name.
    if (known === undefined || known.tags !== policy.tags || known.shape !== policy.shape || known.key !== policy.key) {
      const { tags, shape, key } = policy;
      known = { tags, shape, key, calls: new RecentMap(MAX_CALLS_PER_POLICY) };
      this.#callsByPolicy.set(policy.name, known);
    }
    const found = known.calls.get(arg) as Call<A & string> | undefined;
    if (found !== undefined) return found;
    const call = this.#describe(policy, arg, viewer);
    known.calls.set(arg, call);
    return call;
  }

  #describe<A>(policy: Policy<A>, arg: A, viewer: string | undefined): Call<A> {
    if (policy.scope === 'viewer' && viewer === undefined) {
      throw new CacheError('POLICY', `policy ${policy.name}: its scope is 'viewer', but the read names no viewer`);
    }
    const args = policy.key === undefined ? arg : policy.key(arg);
    const ofViewer = policy.scope === 'viewer' ? viewer : undefined;
    const key = keyOf({ name: policy.name, shape: policy.shape, viewer: ofViewer, args });
    const tags = policy.tags(arg);
    return { arg, key, tags, groups: this.#groupsOf(key, tags) };
  }

  #groupsOf(key: Key, tags: readonly Tag[]): readonly number[] {
    if (this.#store.groups === 1) return ONLY_LOG_GROUP;
    const names = tags.length === 0 ? [key] : tags;
    return [...new Set(names.map((name) => this.#store.groupOf(name)))].sort((a, b) => a - b);
  }
}
