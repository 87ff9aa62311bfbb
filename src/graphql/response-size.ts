/**
 * The size of a response, bounded while it is built: JSON writes a character in up to 6 bytes, and the same object as often as it is
 * selected, so a small tree of values can be hundreds of megabytes as text.
 */
import { GraphQLError, type OperationTypeNode } from 'graphql';

/** Default of MAX_RESPONSE_MB, in bytes. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

/** Of a character in JSON: `\u0007`. */
const MAX_BYTES_PER_CHAR = 6;
/** A number, a boolean or null, with its comma. */
const BYTES_OF_OTHER = 6;
/** What JSON may not write as it is. */
const ESCAPED = /[\p{Cc}\p{Cs}"\\]/u;

export class ResponseTooLarge extends GraphQLError {
  override readonly name = 'ResponseTooLarge';

  constructor(limit: number, operation: `${OperationTypeNode}` = 'query') {
    const advice = 'ask for fewer objects, or for fewer fields with long texts';
    // Refusing a mutation's response does not undo the mutation.
    const done = operation === 'mutation' ? ' The mutation has been carried out.' : '';
    super(`The response is larger than ${limit} bytes: ${advice}.${done}`, {
      extensions: { code: 'RESPONSE_TOO_LARGE', limit, http: { status: operation === 'mutation' ? 200 : 400 } },
    });
  }
}

/**
 * Adds up a response's values as they are completed. Counts characters, which costs next to nothing, until escapes could make a
 * difference to the bound; from there on it counts bytes.
 */
export class ResponseSize {
  readonly #maxBytes: number;
  readonly #exactFrom: number;
  #bytes = 0;

  /** `exact`: count bytes from the beginning. Default: at most the bound is missed, and found when the text is written. */
  constructor(maxBytes: number, { exact = false } = {}) {
    this.#maxBytes = maxBytes;
    this.#exactFrom = exact ? 0 : maxBytes / MAX_BYTES_PER_CHAR;
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

/** Of a name in an object, with its quotes, colon and comma. */
export function keyBytes(name: string): number {
  return name.length + 4;
}

/** A scalar that is an object as JSON: its own bound is in its type. */
function objectBytes(value: unknown): number {
  return value === null ? BYTES_OF_OTHER : (JSON.stringify(value)?.length ?? 0);
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(ESCAPED.test(text) ? JSON.stringify(text) : text) + 2;
}

/** Whether a result that graphql-js has built is within the bound; it stops where it is not. */
export function isWithin(data: unknown, maxBytes: number): boolean {
  const size = new ResponseSize(maxBytes, { exact: true });
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) {
      size.add(2);
      for (const item of value) visit(item);
    } else if (typeof value === 'object' && value !== null) {
      size.add(2);
      for (const [name, inner] of Object.entries(value)) {
        size.add(keyBytes(name));
        visit(inner);
      }
    } else {
      size.addLeaf(value);
    }
  };
  try {
    visit(data);
    return true;
  } catch (error) {
    if (error instanceof ResponseTooLarge) return false;
    throw error;
  }
}

/** For Apollo's `stringifyResult`: the last word, to the byte. */
export function boundedStringify(maxBytes: number): (result: unknown) => string {
  return (result) => {
    const text = JSON.stringify(result);
    // No character takes more than 3 bytes of UTF-8 for one unit of `length`.
    if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes) throw new ResponseTooLarge(maxBytes);
    return text;
  };
}
