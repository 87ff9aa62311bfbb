/**
 * Compares lists for `createPatch`. Its own comparison tries every item of one list against every item of the other,
 * which takes seconds for lists of 100 objects. This one takes O(n log n): items are matched by their ids, and an item
 * that has moved is removed and added.
 */
import { isDeepStrictEqual } from 'node:util';
import { createPatch, type Operation, type Pointer } from 'rfc6902';

/** @returns the operations of the patch; undefined if either is not a list, so that `createPatch` compares them */
export function diffLists(before: unknown, after: unknown, pointer: Pointer): Operation[] | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const path = pointer.toString();
  const [idsBefore, idsAfter] = [idsOf(before), idsOf(after)];
  if (idsBefore === undefined || idsAfter === undefined) return diffByIndex(path, before, after);
  return diffById(path, { items: before, ids: idsBefore }, { items: after, ids: idsAfter });
}

/** A list of objects, each with an id of its own. */
interface Identified {
  readonly items: readonly unknown[];
  readonly ids: readonly string[];
}

/** Undefined if an item has no id, or two have the same. */
function idsOf(items: readonly unknown[]): string[] | undefined {
  const ids = items.map(idOf);
  const known = ids.filter((id) => id !== undefined);
  return known.length === items.length && new Set(known).size === items.length ? known : undefined;
}

/** The id of an object, or of the node of an edge. */
function idOf(item: unknown): string | undefined {
  const { id, node } = (item ?? {}) as { id?: unknown; node?: { id?: unknown } | null };
  const found = id ?? node?.id;
  return typeof found === 'string' ? found : undefined;
}

function diffById(path: string, before: Identified, after: Identified): Operation[] {
  const indexesBefore = new Map(before.ids.map((id, index) => [id, index]));
  const kept = inOrder(after.ids.map((id) => indexesBefore.get(id)));
  const operations: Operation[] = [];
  for (let index = before.items.length - 1; index >= 0; index--) {
    if (!kept.has(index)) operations.push({ op: 'remove', path: `${path}/${index}` });
  }
  for (const [index, item] of after.items.entries()) {
    const from = indexesBefore.get(after.ids[index] as string);
    const at = `${path}/${index}`;
    if (from === undefined || !kept.has(from)) operations.push({ op: 'add', path: at, value: item });
    else operations.push(...diffItems(at, before.items[from], item));
  }
  return operations;
}

/** For lists of other values: equal items at the beginning and the end stay, and the rest is compared in order. */
function diffByIndex(path: string, before: readonly unknown[], after: readonly unknown[]): Operation[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && isDeepStrictEqual(before[start], after[start])) start++;
  let ending = 0;
  while (ending < shorter - start && isDeepStrictEqual(before.at(-1 - ending), after.at(-1 - ending))) ending++;
  const [endBefore, endAfter] = [before.length - ending, after.length - ending];
  const operations: Operation[] = [];
  for (let index = endBefore - 1; index >= Math.max(endAfter, start); index--) {
    operations.push({ op: 'remove', path: `${path}/${index}` });
  }
  for (let index = start; index < endAfter; index++) {
    if (index >= endBefore) operations.push({ op: 'add', path: `${path}/${index}`, value: after[index] });
    else operations.push(...diffItems(`${path}/${index}`, before[index], after[index]));
  }
  return operations;
}

function diffItems(path: string, before: unknown, after: unknown): Operation[] {
  return createPatch(before, after, diffLists).map((operation) => ({ ...operation, path: path + operation.path }));
}

/**
 * The longest increasing subsequence of `indexes`, by patience sorting in O(n log n): the items that need not move.
 * @param indexes where each item was before. Undefined: it is new
 */
function inOrder(indexes: readonly (number | undefined)[]): ReadonlySet<number> {
  /** At n, the lowest index that ends a subsequence of n + 1 indexes. */
  const ends: number[] = [];
  const previous = new Map<number, number | undefined>();
  for (const index of indexes) {
    if (index === undefined) continue;
    const length = lengthBelow(ends, index);
    previous.set(index, ends[length - 1]);
    ends[length] = index;
  }
  const kept = new Set<number>();
  for (let index = ends.at(-1); index !== undefined; index = previous.get(index)) kept.add(index);
  return kept;
}

/** The number of ends below this index, by binary search. */
function lengthBelow(ends: readonly number[], index: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] as number) < index) low = middle + 1;
    else high = middle;
  }
  return low;
}
