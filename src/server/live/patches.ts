/**
 * Computes how each answer of a live query differs from the one before, once for all its clients. For that the last
 * answers stay in memory, within a bound. An answer has no patch, and is sent whole, if the one before is not there.
 */
import { LRUCache } from 'lru-cache';
import { createPatch, type Operation } from 'rfc6902';
import type { LiveAnswer } from '../../engine/cache/index.js';
import { diffLists } from './list-diff.js';

export interface PatchedAnswer extends LiveAnswer {
  /** Absent: the answer is sent whole. */
  readonly patch?: Patch | undefined;
}

export interface Patch {
  /** The digest of the answer that it applies to. */
  readonly from: string;
  /** A JSON Patch of `data`, as text. */
  readonly operations: string;
}

/** In characters. Larger answers have no patch: comparing two of them can take more than 30 ms. */
const MAX_COMPARED_CHARS = 64 * 1024;
/** Maximum length of all answers in memory and their patches, in characters. */
const MAX_KEPT_CHARS = 32 * 1024 * 1024;
const DATA = '{"data":';

export class Patches {
  readonly #last = new LRUCache<string, PatchedAnswer>({
    maxSize: MAX_KEPT_CHARS,
    maxEntrySize: 2 * MAX_COMPARED_CHARS,
    sizeCalculation: ({ text, patch }) => text.length + (patch?.operations.length ?? 0),
  });

  /** The answer with its patch. Called for answers of a live query in their order. @param key names the live query */
  next(key: string, answer: LiveAnswer): PatchedAnswer {
    const before = this.#last.get(key);
    if (before?.digest === answer.digest) return { ...answer, patch: before.patch };
    const patched = { ...answer, patch: before && patchOf(before, answer) };
    if (answer.text.length <= MAX_COMPARED_CHARS) this.#last.set(key, patched);
    else this.#last.delete(key);
    return patched;
  }

  /** The live query has ended. */
  delete(key: string): void {
    this.#last.delete(key);
  }
}

function patchOf(before: LiveAnswer, { text }: LiveAnswer): Patch | undefined {
  if (text.length > MAX_COMPARED_CHARS) return undefined;
  if (!before.text.startsWith(DATA) || !text.startsWith(DATA)) return undefined; // one with errors begins with them
  const [{ data: from }, { data: to }] = [JSON.parse(before.text), JSON.parse(text)];
  const changes: Operation[] = createPatch(from, to, diffLists);
  const operations = JSON.stringify(changes);
  return operations.length < text.length ? { from: before.digest, operations } : undefined;
}
