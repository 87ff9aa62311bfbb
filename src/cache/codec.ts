/**
 * Values to text and back. Plain JSON at the speed of JSON.parse; dates, bigints and `undefined` are kept by a
 * second, marked form that only values holding them pay for. What JSON would change in silence is refused.
 */
import { CacheError } from './errors.js';

const MARK = '$cache';

export interface Encoded {
  readonly text: string;
  /** The text holds marked members: read it with the reviver. */
  readonly marked: boolean;
}

/** @throws CacheError UNENCODABLE for functions, symbols, class instances and objects with a `$cache` member. */
export function encode(value: unknown): Encoded {
  let marked = false;
  const mark = (kind: string, text: string) => {
    marked = true;
    return { [MARK]: kind, text };
  };
  function replacer(this: unknown, name: string, _: unknown): unknown {
    // JSON.stringify has already called toJSON on its second argument; the holder still has the date itself.
    const raw = (this as Record<string, unknown>)[name];
    switch (typeof raw) {
      case 'bigint':
        return mark('bigint', String(raw));
      case 'undefined':
        return Array.isArray(this) || name === '' ? mark('undefined', '') : undefined;
      case 'number':
        return Number.isFinite(raw) ? raw : mark('number', String(raw));
      case 'function':
      case 'symbol':
        throw new CacheError('UNENCODABLE', `a ${typeof raw} cannot be cached (at ${JSON.stringify(name)})`);
      case 'object':
        if (raw === null || Array.isArray(raw)) return raw;
        if (raw instanceof Date) return mark('date', String(raw.getTime()));
        refuseExotic(raw, name);
    }
    return raw;
  }
  const text = JSON.stringify(value, replacer);
  return { text, marked };
}

function refuseExotic(value: object, name: string): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || Object.hasOwn(value, MARK)) {
    const what = value.constructor?.name ?? 'object';
    throw new CacheError('UNENCODABLE', `a ${what} cannot be cached as JSON (at ${JSON.stringify(name)})`);
  }
}

/** @throws SyntaxError when the text is not what `encode` wrote; the caller takes that for a miss. */
export function decode({ text, marked }: Encoded): unknown {
  if (!marked) return JSON.parse(text);
  const value: unknown = JSON.parse(text);
  return unmark(value);
}

/** By hand, because a reviver cannot put an `undefined` into an array: it would leave a hole. */
function unmark(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(unmark);
  if (MARK in value) return restore(value as { [MARK]: string; text: string });
  const members = value as Record<string, unknown>;
  for (const name of Object.keys(members)) members[name] = unmark(members[name]);
  return members;
}

function restore(member: { [MARK]: string; text: string }): unknown {
  switch (member[MARK]) {
    case 'date':
      return new Date(Number(member.text));
    case 'bigint':
      return BigInt(member.text);
    case 'number':
      return Number(member.text);
    case 'undefined':
      return undefined;
    default:
      throw new SyntaxError(`unknown mark ${member[MARK]}`);
  }
}
