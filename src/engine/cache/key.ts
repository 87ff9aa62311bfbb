/** Keys: the canonical name of one cached call. Equal calls have equal keys, in every process and build. */
import { hash } from 'node:crypto';

declare const keyBrand: unique symbol;
export type Key = string & { readonly [keyBrand]: true };

/** Longer arguments are named by their digest, so that a key stays small whatever a client sends. */
const MAX_ARGUMENT_CHARS = 160;

export function keyOf(call: { name: string; shape: string; viewer: string | undefined; args: unknown }): Key {
  const args = canonical(call.args);
  const named = args.length <= MAX_ARGUMENT_CHARS ? args : `sha256-${digest(args)}`;
  return `${call.name}:${call.shape}:${call.viewer ?? ''}:${named}` as Key;
}

/** Texts of long frozen lists: one list is a part of several keys. */
const listTexts = new WeakMap<readonly unknown[], string>();
const LONG_LIST = 20;

function canonicalList(list: readonly unknown[]): string {
  const known = list.length > LONG_LIST ? listTexts.get(list) : undefined;
  if (known !== undefined) return known;
  // Array.from, not map: map skips holes, and [,] would read like [].
  const text = `[${Array.from(list, canonical).join(',')}]`;
  const fixed = list.length > LONG_LIST && Object.isFrozen(list) && list.every((item) => typeof item === 'string');
  if (fixed) listTexts.set(list, text);
  return text;
}

/** 43 characters of SHA-256 in base64url. */
export function digest(text: string): string {
  return hash('sha256', text, 'base64url');
}

/**
 * One text for equal values: members sorted, `undefined` members left out; dates, bigints, `undefined` and numbers that
 * JSON lacks in forms that no string can take. Refuses values that have no plain form: functions, symbols, class
 * instances.
 */
export function canonical(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '0' : String(value);
    case 'boolean':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'undefined':
      return 'undefined';
    case 'object':
      break;
    default:
      throw new TypeError(`a ${typeof value} cannot be part of a cache key`);
  }
  if (value === null) return 'null';
  if (value instanceof Date) return `@${value.getTime()}`;
  if (Array.isArray(value)) return canonicalList(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`a ${value.constructor.name} cannot be part of a cache key: pass a plain value`);
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}
