/**
 * Values that a write has changed. It stores them itself, with its RELEASE, and its own process keeps them in memory once the
 * COMMIT is acknowledged: the next reader loads nothing.
 *
 * The value was read inside the transaction, before its FENCE. It is the committed state when the RELEASE runs if no
 * other write of the entry's tags ended between the moment its tokens were read and the RELEASE. Three comparisons prove that:
 * the tokens are those of a copy that memory held before the transaction's first statement; FENCE finds the same tokens;
 * RELEASE finds the fence of this transaction alone, under which no other was released. PROTOCOL.md, section 8.
 *
 * Memory needs the first two, and the log in place of the third: see `NearCache.keepWritten`.
 */
import type { CallNames } from './call.js';
import { entryTextIfAny, stampText } from './entry.js';
import type { NearCache, WrittenCopy } from './near-cache.js';
import { DEFAULT_MAX_CHARS, entryTtlMs, type Policy } from './policy.js';
import type { ReleaseFill, ReleaseFills } from './store.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';
import { randomToken } from './token.js';

/** What a source would load for an argument, once the transaction has committed. */
export interface WrittenValue {
  readonly source: Policy<never>;
  /** An argument of the source. */
  readonly arg: unknown;
  readonly value: unknown;
}

/** What FENCE must find for the values to be stored, the entries that RELEASE stores then, and the copies for memory. */
export interface WrittenFills {
  readonly expected: ReadonlyMap<Tag, string>;
  readonly fills: ReleaseFills;
  readonly copies: readonly WrittenCopy[];
}

/** A value as RELEASE stores it, and as memory keeps it. */
interface Written {
  readonly fill: ReleaseFill;
  readonly copy: WrittenCopy;
}

/** `before`: `NearCache.puts` from before the transaction's first statement. */
interface Write {
  readonly touched: readonly Tag[];
  readonly before: number;
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
    const token = randomToken();
    const written = values
      .map((value) => this.#writtenOf(value, { touched, before }, expected, token))
      .filter((one) => one !== undefined);
    if (written.length === 0) return undefined;
    const entries = written.map(({ fill }) => fill);
    return { expected, fills: { token, entries }, copies: written.map(({ copy }) => copy) };
  }

  /** Adds to `expected`. */
  #writtenOf(
    { source, arg, value }: WrittenValue,
    { touched, before }: Write,
    expected: Map<Tag, string>,
    token: string,
  ): Written | undefined {
    if (source.scope !== 'public' || value === undefined) return undefined;
    const { key, tags } = this.#names.call(source as Policy<unknown>, arg, undefined);
    const own = tags.filter((tag) => touched.includes(tag));
    const held = this.#near?.heldBefore(key, before);
    if (own.length === 0 || held === undefined) return undefined;
    const loadedAtMs = this.#clock.nowMs();
    const ttlMs = entryTtlMs(source, value, this.#random());
    const rest = entryTextIfAny({ stamps: '', value, loadedAtMs, ttlMs });
    if (rest === undefined) return undefined;
    const [purge, tokens] = held.stamps.split('|') as [string, string];
    const tokensBefore = tokens.split(',');
    const stamps = stampText(
      purge,
      tags.map((tag, i) => (own.includes(tag) ? token : (tokensBefore[i] as string))),
    );
    const text = stamps + rest;
    if (text.length > (source.maxChars ?? DEFAULT_MAX_CHARS)) return undefined;
    tags.forEach((tag, i) => {
      if (own.includes(tag)) expected.set(tag, tokensBefore[i] as string);
    });
    const entry = { value, tags, stamps, loadedAtMs, untilMs: loadedAtMs + ttlMs, chars: text.length };
    return {
      fill: { key, tags: own, ttlMs: ttlMs + (source.staleMs ?? 0), text },
      copy: { key, entry, own, others: tags.filter((tag) => !own.includes(tag)), since: held.since },
    };
  }
}
