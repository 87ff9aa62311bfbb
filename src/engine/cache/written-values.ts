/**
 * Values that a write has changed and stores itself, with its RELEASE: the next reader finds them and loads nothing.
 *
 * The value was read inside the transaction, before its FENCE. It is the committed state when the RELEASE runs if no
 * other write of the entry's tags ended between the moment its tokens were read and the RELEASE. Three comparisons prove that:
 * the tokens are those of a copy that memory held before the transaction's first statement; FENCE finds the same tokens;
 * RELEASE finds the fence of this transaction alone, under which no other was released. PROTOCOL.md, section 8.
 */
import type { CallNames } from './call.js';
import { entryTextIfAny, stampText } from './entry.js';
import type { NearCache } from './near-cache.js';
import { DEFAULT_MAX_CHARS, entryTtlMs, type Policy } from './policy.js';
import type { ReleaseFill } from './store.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

/** What a source would load for an argument, once the transaction has committed. */
export interface WrittenValue {
  readonly source: Policy<never>;
  /** An argument of the source. */
  readonly arg: unknown;
  readonly value: unknown;
}

/** What FENCE must find for the values to be stored, and the entries that RELEASE stores then. */
export interface WrittenFills {
  readonly expected: ReadonlyMap<Tag, string>;
  readonly fills: readonly ReleaseFill[];
}

export class WrittenValues {
  readonly #names: CallNames;
  readonly #near: NearCache | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;

  constructor(options: { names: CallNames; near: NearCache | undefined; clock: Clock; random: () => number }) {
    this.#names = options.names;
    this.#near = options.near;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /**
   * The fills of those values that a reader of this process has read before. `touched`: the tags of the transaction;
   * `before`: `NearCache.puts` from before its first statement.
   */
  fillsOf(values: readonly WrittenValue[], touched: readonly Tag[], before: number): WrittenFills | undefined {
    const expected = new Map<Tag, string>();
    const fills: ReleaseFill[] = [];
    for (const value of values) {
      const fill = this.#fillOf(value, touched, before, expected);
      if (fill !== undefined) fills.push(fill);
    }
    return fills.length === 0 ? undefined : { expected, fills };
  }

  #fillOf(
    { source, arg, value }: WrittenValue,
    touched: readonly Tag[],
    before: number,
    expected: Map<Tag, string>,
  ): ReleaseFill | undefined {
    if (source.scope !== 'public' || value === undefined) return undefined;
    const { key, tags } = this.#names.call(source as Policy<unknown>, arg, undefined);
    const own = tags.filter((tag) => touched.includes(tag));
    const stamps = this.#near?.stampsFrom(key, before);
    if (own.length === 0 || stamps === undefined) return undefined;
    const loadedAtMs = this.#clock.nowMs();
    const ttlMs = entryTtlMs(source, value, this.#random());
    const rest = entryTextIfAny({ stamps: '', value, loadedAtMs, ttlMs });
    if (rest === undefined || stamps.length + rest.length > (source.maxChars ?? DEFAULT_MAX_CHARS)) return undefined;
    const [purge, tokens] = stamps.split('|') as [string, string];
    const held = tokens.split(',');
    tags.forEach((tag, i) => {
      if (own.includes(tag)) expected.set(tag, held[i] as string);
    });
    const text = (fresh: string) =>
      stampText(
        purge,
        tags.map((tag, i) => (own.includes(tag) ? fresh : (held[i] as string))),
      ) + rest;
    return { key, tags: own, ttlMs: ttlMs + (source.staleMs ?? 0), text };
  }
}
