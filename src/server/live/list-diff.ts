/**
 * How the items of a list have changed, for `createPatch`. Its own comparison tries every item of one list against every
 * one of the other, which takes seconds for lists of 100 objects. This one takes time in proportion to the lists: items
 * are known by their ids, and an item that has moved is removed and added.
 */
import { isDeepStrictEqual } from 'node:util';
import { createPatch, type Operation, type Pointer } from 'rfc6902';

/** @returns undefined if either is not a list: the library compares them */
export function diffLists(before: unknown, after: unknown, pointer: Pointer): Operation[] | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const path = pointer.toString();
  const [idsBefore, idsAfter] = [idsOf(before), idsOf(after)];
  if (idsBefore === undefined || idsAfter === undefined) return diffByPlace(path, before, after);
  return diffById(path, { items: before, ids: idsBefore }, { items: after, ids: idsAfter });
}

/** A list of objects that differ in their ids. */
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

/** Of an object, or of the edge that leads to it. */
function idOf(item: unknown): string | undefined {
  const { id, node } = (item ?? {}) as { id?: unknown; node?: { id?: unknown } | null };
  const found = id ?? node?.id;
  return typeof found === 'string' ? found : undefined;
}

function diffById(path: string, before: Identified, after: Identified): Operation[] {
  const placesBefore = new Map(before.ids.map((id, place) => [id, place]));
  const kept = inOrder(after.ids.map((id) => placesBefore.get(id)));
  const operations: Operation[] = [];
  for (let place = before.items.length - 1; place >= 0; place--) {
    if (!kept.has(place)) operations.push({ op: 'remove', path: `${path}/${place}` });
  }
  for (const [place, item] of after.items.entries()) {
    const from = placesBefore.get(after.ids[place] as string);
    const at = `${path}/${place}`;
    if (from === undefined || !kept.has(from)) operations.push({ op: 'add', path: at, value: item });
    else operations.push(...diffItems(at, before.items[from], item));
  }
  return operations;
}

/** Lists of other values: the items at their beginnings and ends that are equal are kept, the rest is compared in order. */
function diffByPlace(path: string, before: readonly unknown[], after: readonly unknown[]): Operation[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && isDeepStrictEqual(before[start], after[start])) start++;
  let ending = 0;
  while (ending < shorter - start && isDeepStrictEqual(before.at(-1 - ending), after.at(-1 - ending))) ending++;
  const [endBefore, endAfter] = [before.length - ending, after.length - ending];
  const operations: Operation[] = [];
  for (let place = endBefore - 1; place >= Math.max(endAfter, start); place--) {
    operations.push({ op: 'remove', path: `${path}/${place}` });
  }
  for (let place = start; place < endAfter; place++) {
    if (place >= endBefore) operations.push({ op: 'add', path: `${path}/${place}`, value: after[place] });
    else operations.push(...diffItems(`${path}/${place}`, before[place], after[place]));
  }
  return operations;
}

function diffItems(path: string, before: unknown, after: unknown): Operation[] {
  return createPatch(before, after, diffLists).map((operation) => ({ ...operation, path: path + operation.path }));
}

/**
 * The longest rising sequence of places, of which some are absent: items that need not move. By patience sorting, in
 * O(n log n).
 */
function inOrder(places: readonly (number | undefined)[]): ReadonlySet<number> {
  /** By length, the lowest place that ends a sequence of it. */
  const ends: number[] = [];
  const previous = new Map<number, number | undefined>();
  for (const place of places) {
    if (place === undefined) continue;
    const length = lengthBelow(ends, place);
    previous.set(place, ends[length - 1]);
    ends[length] = place;
  }
  const kept = new Set<number>();
  for (let place = ends.at(-1); place !== undefined; place = previous.get(place)) kept.add(place);
  return kept;
}

/** The number of ends below this place, by halving. */
function lengthBelow(ends: readonly number[], place: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] as number) < place) low = middle + 1;
    else high = middle;
  }
  return low;
}
