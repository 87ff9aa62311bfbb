/**
 * Values to text and back. Plain JSON at the speed of JSON.parse. Only values with dates, bigints or `undefined` pay
 * for a second, marked form. Values that JSON would change silently are refused. Large texts are compressed.
 *
 * JSON and not MessagePack, by test/bench/codec.ts: a task is 713 bytes, 2.8 µs to write and 1.9 µs to read; with
 * msgpackr 654 bytes, 2.0 µs and 2.0 µs. Fifty ids take 4.1 and 1.8 µs; with msgpackr 6.1 and 1.9. A round trip to
 * Redis costs far more, and people can read JSON there.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { CacheError } from './errors.js';

const MARK = '$cache';

/** `j` JSON; `m` JSON with marked members; `J` and `M` the same, compressed and in base64. */
export type Form = 'j' | 'm' | 'J' | 'M';

export interface Encoded {
  readonly text: string;
  readonly form: Form;
}

/**
 * By test/bench/compression.ts: above this an entry shrinks to an eighth and each hit from Redis costs some 30 µs more.
 */
const COMPRESS_ABOVE_CHARS = 8 * 1024;
/** Bounds what an entry may inflate to: one that another program wrote must not fill this process's memory. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;

/** @throws CacheError UNENCODABLE for functions, symbols, class instances and objects with a `$cache` member. */
export function encode(value: unknown): Encoded {
  if (isPlain(value)) return packed(JSON.stringify(value), false);
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
  return packed(JSON.stringify(value, replacer), marked);
}

function packed(text: string, marked: boolean): Encoded {
  if (text.length <= COMPRESS_ABOVE_CHARS) return { text, form: marked ? 'm' : 'j' };
  return { text: deflateRawSync(text, { level: 1 }).toString('base64'), form: marked ? 'M' : 'J' };
}

/** Whether plain JSON represents the value exactly, as for nearly all rows. Then no replacer runs for its members. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (!isPlain(value[i])) return false; // a hole is none
    }
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype || 'toJSON' in value || MARK in value) return false;
  for (const name in value) {
    if (!isPlain((value as Record<string, unknown>)[name])) return false;
  }
  return true;
}

function refuseExotic(value: object, name: string): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || Object.hasOwn(value, MARK)) {
    const what = value.constructor?.name ?? 'object';
    throw new CacheError('UNENCODABLE', `a ${what} cannot be cached as JSON (at ${JSON.stringify(name)})`);
  }
}

/** @throws when the text was not written by `encode`; the caller treats that as a miss */
export function decode({ text, form }: Encoded): unknown {
  switch (form) {
    case 'j':
      return JSON.parse(text);
    case 'm':
      return unmark(JSON.parse(text));
    case 'J':
      return JSON.parse(inflated(text));
    case 'M':
      return unmark(JSON.parse(inflated(text)));
    default:
      throw new SyntaxError(`unknown form ${form}`);
  }
}

function inflated(text: string): string {
  return inflateRawSync(Buffer.from(text, 'base64'), { maxOutputLength: MAX_INFLATED_BYTES }).toString();
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
