/**
 * Limits the size of a response while it is built. JSON writes a character in up to 6 bytes, and an object as often as
 * it is selected. A small tree of values can therefore become hundreds of megabytes of text.
 */
import { GraphQLError, type OperationTypeNode } from 'graphql';

/** Default of MAX_RESPONSE_MB, in bytes. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

/** The longest form of a character in JSON: `\u0007`. */
const MAX_BYTES_PER_CHAR = 6;
/** Upper bound for a number, a boolean or null with its comma. */
const BYTES_OF_OTHER = 6;
const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const SHORT_ESCAPES = new Set([...'\b\t\n\f\r'].map((char) => char.charCodeAt(0)));
export class ResponseTooLarge extends GraphQLError {
  override readonly name = 'ResponseTooLarge';

  constructor(limit: number, operation: `${OperationTypeNode}` = 'query') {
    const advice = 'ask for fewer objects, or for fewer fields with long texts';
    // Refusing a mutation's response does not undo the mutation.
    const done = operation === 'mutation' ? ' The mutation was executed.' : '';
    super(`The response is larger than ${limit} bytes: ${advice}.${done}`, {
      extensions: { code: 'RESPONSE_TOO_LARGE', limit, http: { status: operation === 'mutation' ? 200 : 400 } },
    });
  }
}

/**
 * Adds up the values of a response as they are completed. Counts characters, which is nearly free, until escapes could
 * make a difference to the limit; from then on it counts bytes.
 */
export class ResponseSize {
  readonly #maxBytes: number;
  readonly #exactFrom: number;
  #bytes = 0;

  /**
   * @param exact count bytes from the beginning. Otherwise the limit can be missed, which is detected when the response
   * is serialized.
   */
  constructor(maxBytes: number, { exact = false } = {}) {
    this.#maxBytes = maxBytes;
    this.#exactFrom = exact ? 0 : maxBytes / MAX_BYTES_PER_CHAR;
  }

  /** The size so far; a lower bound unless all bytes are counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws ResponseTooLarge */
  addLeaf(value: unknown): void {
    if (typeof value !== 'string') this.add(typeof value === 'object' ? objectBytes(value) : BYTES_OF_OTHER);
    else this.add(this.#bytes < this.#exactFrom ? value.length + 3 : jsonBytes(value) + 1);
  }

  /** @throws ResponseTooLarge */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#maxBytes) throw new ResponseTooLarge(this.#maxBytes);
  }
}

/** The bytes of a member name, with its quotes, colon and comma. */
export function keyBytes(name: string): number {
  return name.length + 4;
}

/** The size of a scalar that is a JSON object; its type limits it. */
function objectBytes(value: unknown): number {
  return value === null ? BYTES_OF_OTHER : (JSON.stringify(value)?.length ?? 0);
}

/** The bytes of a text in JSON and UTF-8, computed without serializing it. */
function jsonBytes(text: string): number {
  let bytes = 2;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20) bytes += SHORT_ESCAPES.has(unit) ? 2 : 6;
    else if (unit === QUOTE || unit === BACKSLASH) bytes += 2;
    else if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3;
    else if (isPair(unit, text.charCodeAt(i + 1))) {
      bytes += 4;
      i++;
    } else bytes += 6; // an unpaired surrogate is escaped
  }
  return bytes;
}

function isPair(high: number, low: number): boolean {
  return high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff;
}

/** @returns the bytes of a result built by graphql-js; undefined if there are more than `maxBytes` */
export function bytesOf(data: unknown, maxBytes: number): number | undefined {
  const size = new ResponseSize(maxBytes, { exact: true });
  try {
    visit(data, size);
    return size.bytes;
  } catch (error) {
    if (error instanceof ResponseTooLarge) return undefined;
    throw error;
  }
}

function visit(value: unknown, size: ResponseSize): void {
  if (Array.isArray(value)) {
    size.add(2);
    for (const item of value) visit(item, size);
  } else if (typeof value === 'object' && value !== null) {
    size.add(2);
    for (const [name, inner] of Object.entries(value)) {
      size.add(keyBytes(name));
      visit(inner, size);
    }
  } else {
    size.addLeaf(value);
  }
}
