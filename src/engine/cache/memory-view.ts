/** What process memory holds, for operators. Each method looks at all copies: milliseconds where memory is full. */
import { ANSWER, ANSWER_KEY } from './answer-cache.js';
import type { Key } from './key.js';
import type { NearCache, NearEntry } from './near-cache.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

export interface HeldCopy {
  readonly policy: string;
  /** For a kept answer, only the viewer: the request is private to it. */
  readonly key: string;
  readonly ageMs: number;
  readonly ttlLeftMs: number;
  /** Estimated. */
  readonly bytes: number;
}

export interface HeldSum {
  readonly entries: number;
  readonly bytes: number;
}

export interface HeldUnder {
  /** The first of them. */
  readonly copies: HeldCopy[];
  /** Of all of them. */
  readonly byPolicy: Map<string, HeldSum>;
}

export class MemoryView {
  readonly #near: NearCache | undefined;
  readonly #clock: Clock;

  constructor({ near, clock }: { near: NearCache | undefined; clock: Clock }) {
    this.#near = near;
    this.#clock = clock;
  }

  /** In bytes. 0: nothing is kept in this process. */
  get maxBytes(): number {
    return this.#near?.maxBytes ?? 0;
  }

  /**
   * Calls `hear` with the tags of each record of the log, before memory applies it. One listener at a time; undefined:
   * none.
   */
  onInvalidation(hear: ((tags: readonly Tag[]) => void) | undefined): void {
    if (this.#near !== undefined) this.#near.beforeInvalidation = hear;
  }

  /** Entries and answers that carry one of these tags and are still valid. */
  countUnder(tags: readonly Tag[]): { readonly entries: number; readonly answers: number } {
    let [entries, answers] = [0, 0];
    const count = (key: Key) => {
      if (isAnswer(key)) answers++;
      else entries++;
    };
    this.#near?.forEachHeld(this.#clock.nowMs(), count, new Set(tags));
    return { entries, answers };
  }

  /** Copies under each of these tags: the first `max` of them, and the sums of all by policy. */
  under(tags: readonly Tag[], max: number): ReadonlyMap<Tag, HeldUnder> {
    const found = new Map(tags.map((tag): [Tag, HeldUnder] => [tag, { copies: [], byPolicy: new Map() }]));
    const nowMs = this.#clock.nowMs();
    const note = (key: Key, entry: NearEntry, bytes: number) => {
      for (const tag of entry.tags) {
        const under = found.get(tag);
        if (under === undefined) continue;
        if (under.copies.length < max) under.copies.push(shown(key, entry, { bytes, nowMs }));
        add(under.byPolicy, policyOf(key), bytes);
      }
    };
    this.#near?.forEachHeld(nowMs, note, new Set(tags));
    return found;
  }

  byPolicy(): Map<string, HeldSum> {
    const sums = new Map<string, HeldSum>();
    this.#near?.forEachHeld(this.#clock.nowMs(), (key, _, bytes) => add(sums, policyOf(key), bytes));
    return sums;
  }
}

function add(sums: Map<string, HeldSum>, policy: string, bytes: number): void {
  const sum = sums.get(policy);
  sums.set(policy, { entries: (sum?.entries ?? 0) + 1, bytes: (sum?.bytes ?? 0) + bytes });
}

function shown(
  key: Key,
  { loadedAtMs, untilMs }: NearEntry,
  { bytes, nowMs }: { bytes: number; nowMs: number },
): HeldCopy {
  return {
    policy: policyOf(key),
    key: isAnswer(key) ? key.slice(0, key.indexOf(' ', ANSWER_KEY.length)) : key,
    ageMs: Math.max(0, nowMs - loadedAtMs),
    ttlLeftMs: untilMs - nowMs,
    bytes,
  };
}

function isAnswer(key: Key): boolean {
  return key.startsWith(ANSWER_KEY);
}

/** Keys begin with it: see key.ts and graphql/response-cache.ts. */
function policyOf(key: Key): string {
  return isAnswer(key) ? ANSWER : key.slice(0, key.indexOf(':'));
}
