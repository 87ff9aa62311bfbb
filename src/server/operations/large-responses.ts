/**
 * Serializing a response of megabytes blocks the process for some milliseconds. Large responses are serialized one per
 * event-loop tick, and viewers take turns, so that a viewer with many of them only delays itself.
 */
import type { UserId } from '../../db/ids.js';
import { stringifyResult } from './json-text.js';
import { ResponseTooLarge } from './response-size.js';
import { type Turns, WHOLE_TURN } from './turns.js';

/** Responses from this size on are large; serializing smaller ones takes less than a millisecond. */
const LARGE_BYTES = 256 * 1024;

export class LargeResponses {
  readonly #maxBytes: number;
  readonly #turns: Turns;
  /** Viewers of large results that are not serialized yet, keyed by their `data`. */
  readonly #viewers = new WeakMap<object, UserId>();

  constructor({ maxBytes, turns }: { maxBytes: number; turns: Turns }) {
    this.#maxBytes = maxBytes;
    this.#turns = turns;
  }

  /** Registers a result of about this many bytes. */
  note(data: unknown, bytes: number, viewerId: UserId): void {
    if (bytes > LARGE_BYTES && typeof data === 'object' && data !== null) this.#viewers.set(data, viewerId);
  }

  /** Implements Apollo's `stringifyResult`. Checks the exact size. @throws ResponseTooLarge */
  readonly stringify = (result: { readonly data?: unknown }): string | Promise<string> => {
    const viewerId = this.#viewers.get(result.data as object);
    return viewerId === undefined
      ? this.#write(result)
      : this.#turns.run(viewerId, WHOLE_TURN, async () => this.#write(result));
  };

  #write(result: { readonly data?: unknown }): string {
    const text = stringifyResult(result);
    // No unit of `length` takes more than 3 bytes of UTF-8.
    if (text.length * 3 > this.#maxBytes && Buffer.byteLength(text) > this.#maxBytes) {
      throw new ResponseTooLarge(this.#maxBytes);
    }
    return text;
  }
}
