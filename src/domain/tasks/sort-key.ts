/**
 * Keys of the manual order: texts that sort by code point. Between two of them there is always another one. See
 * D. Greenspan, "Implementing Fractional Indexing". A task that was never moved has no stored key: its number gives it.
 */
import { generateKeyBetween, generateNKeysBetween } from 'fractional-indexing';
import type { TaskRow } from './task.table.js';

/** Longer keys are not stored: the neighbors get new keys instead. */
export const MAX_KEY_CHARS = 200;
/** The highest task number that an identifier can have. */
const MAX_NUMBER = 999_999_999;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Sorts before the key of each number. */
const FIRST = 'a0';

/** The key of a number, at least 0, as the function `default_sort_order` of the database computes it. */
export function defaultSortOrder(number: number): string {
  let rest = number;
  let digits = 1;
  for (let count = DIGITS.length; rest >= count; count *= DIGITS.length) {
    rest -= count;
    digits++;
  }
  let text = '';
  for (let i = 0; i < digits; i++) {
    text = DIGITS.charAt(rest % DIGITS.length) + text;
    rest = Math.floor(rest / DIGITS.length);
  }
  return String.fromCharCode('a'.charCodeAt(0) + digits - 1) + text;
}

export function sortOrderOf({ sortOrder, number }: Pick<TaskRow, 'sortOrder' | 'number'>): string {
  return sortOrder ?? defaultSortOrder(number);
}

/** The highest number whose key is not after this one, 0 if there is none. */
export function numberBefore(key: string): number {
  if (key < FIRST) return 0;
  const digits = key.charCodeAt(0) - 'a'.charCodeAt(0) + 1;
  let first = 0;
  for (let count = 1; count < digits; count++) first += DIGITS.length ** count;
  const text = key.slice(1, digits + 1);
  return first + [...text].reduce((value, digit) => value * DIGITS.length + DIGITS.indexOf(digit), 0);
}

/** Whether a task can have the key: others can be made before and after it, and it is not beyond all numbers. */
export function isStorableKey(text: string): boolean {
  if (!isSortKey(text) || numberBefore(text) > MAX_NUMBER) return false;
  try {
    generateKeyBetween(text, null);
    return true;
  } catch {
    return false; // the library has no other check
  }
}

/** Whether a text has the form of a key. */
export function isSortKey(text: string): boolean {
  return /^[A-Za-z][0-9A-Za-z]+$/.test(text) && text.length <= MAX_KEY_CHARS;
}

/** Between these keys in this order. */
export interface Gap {
  /** Null: before all tasks. */
  readonly after: string | null;
  readonly before: string;
}

/** Whether there is a key in the gap. Two tasks can have the same key after one of them was restored. */
export function isOpen({ after, before }: Gap): boolean {
  return after === null || after < before;
}

/** A key that is never that of a number, since a task with the number can be restored later. */
export function keyBetween({ after, before }: Gap): string {
  if (after === null && before >= FIRST) return generateKeyBetween(null, FIRST);
  const key = generateKeyBetween(after, before);
  return isDefault(key) ? keyBetween({ after, before: key }) : key;
}

/** Keys in rising order, spread over the gap. None is that of a number. */
export function keysBetween({ after, before }: Gap, count: number): string[] {
  const upper = after === null && before >= FIRST ? FIRST : before;
  let last = after;
  return generateNKeysBetween(after, upper, count).map((key) => {
    last = isDefault(key) ? keyBetween({ after: last, before: key }) : key;
    return last;
  });
}

function isDefault(key: string): boolean {
  return key >= FIRST && key.length === key.charCodeAt(0) - 'a'.charCodeAt(0) + 2;
}
