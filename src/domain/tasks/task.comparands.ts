/** What filters compare by, and the values that they compare with. */
import { badUserInput } from '../../graphql/errors.js';
import { readComparand, readText, type TextRule } from '../../std/text.js';
import { countWords, MAX_SEARCH_TERMS } from './search-query.js';
import type { Comparison, Condition } from './task.condition.js';
import { MAX_SEARCH_CHARS } from './task.filter-inputs.js';
import { taskPriority } from './task.table.js';

const MAX_TEXT_CHARS = 500;
const SEARCH: TextRule = { kind: 'block', minChars: 1, maxChars: MAX_SEARCH_CHARS };

/** Comparators of single values. */
export type Operators<T> = {
  eq?: T | null;
  neq?: T | null;
  in?: T[] | null;
  nin?: T[] | null;
};
export type Bounds<T> = { gt?: T | null; gte?: T | null; lt?: T | null; lte?: T | null };

export const BOUNDS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const satisfies Record<
  keyof Bounds<never>,
  Comparison
>;

/** Whether a priority is within a bound. */
export function within(priority: string, bound: Condition): boolean {
  if (!('is' in bound)) return true;
  const order = taskPriority.enumValues as readonly string[];
  const difference = order.indexOf(priority) - order.indexOf(bound.value);
  return { '>': difference > 0, '>=': difference >= 0, '<': difference < 0, '<=': difference <= 0 }[bound.is];
}

/** A null does not mean "no condition": its author meant a comparison that does not exist. */
export function refuseNulls(input: object, at: string): void {
  for (const [name, value] of Object.entries(input)) {
    if (value === null) throw badUserInput(`${at}.${name}`, 'expected a value, got null');
  }
}

export function titleText(text: string, at: string): string {
  return comparand('line', text, at);
}

export function descriptionText(text: string, at: string): string {
  return comparand('block', text, at);
}

/** @throws BAD_USER_INPUT */
export function comparand(kind: 'line' | 'block', given: string, at: string): string {
  const read = readComparand(kind, given, MAX_TEXT_CHARS);
  if ('fault' in read) throw badUserInput(at, read.fault);
  return read.text;
}

/** @throws BAD_USER_INPUT */
export function searchText(given: string, at: string): string {
  const read = readText(SEARCH, given.trim());
  if ('fault' in read) throw badUserInput(at, read.fault);
  if (countWords(read.text) > MAX_SEARCH_TERMS) throw badUserInput(at, `expected at most ${MAX_SEARCH_TERMS} words`);
  return read.text;
}
