/**
 * Writing a response of megabytes keeps the process busy for some milliseconds. Large ones are written one in each turn of the event loop,
 * and viewers take turns, so that a viewer with many of them delays itself.
 */
import type { UserId } from '../../db/ids.js';
import { ResponseTooLarge } from './response-size.js';
import { type Turns, WHOLE_TURN } from './turns.js';

/** From here on a response is large: writing less takes less than a millisecond. */
const LARGE_BYTES = 256 * 1024;

export class LargeResponses {
  readonly #maxBytes: number;
  readonly #turns: Turns;
  /** The viewers of large ones that are not written yet, by the `data` of their results. */
  readonly #viewers = new WeakMap<object, UserId>();

  constructor({ maxBytes, turns }: { maxBytes: number; turns: Turns }) {
    this.#maxBytes = maxBytes;
    this.#turns = turns;
  }

  /** A result of about so many bytes has been built. */
  note(data: unknown, bytes: number, viewerId: UserId): void {
    if (bytes > LARGE_BYTES && typeof data === 'object' && data !== null) this.#viewers.set(data, viewerId);
  }

  /** Apollo's `stringifyResult`. Checks the size to the byte. @throws ResponseTooLarge */
  readonly stringify = (result: { readonly data?: unknown }): string | Promise<string> => {
    const viewerId = this.#viewers.get(result.data as object);
    return viewerId === undefined
      ? this.#write(result)
      : this.#turns.run(viewerId, WHOLE_TURN, async () => this.#write(result));
  };

  #write(result: unknown): string {
    const text = JSON.stringify(result);
    // No unit of `length` takes more than 3 bytes of UTF-8.
    if (text.length * 3 > this.#maxBytes && Buffer.byteLength(text) > this.#maxBytes) {
      throw new ResponseTooLarge(this.#maxBytes);
    }
    return text;
  }
}
