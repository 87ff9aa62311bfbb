/**
 * Compresses responses for clients that accept it. Compressed bytes of a kept response are kept beside it. zlib works on
 * other threads.
 */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';

export type Encoding = 'br' | 'gzip';

/** The smaller gains less than a packet. */
const MIN_BYTES = 1024;
/** A larger one would hold a thread for tens of milliseconds. */
const MAX_BYTES = 1024 * 1024;
/** Clients choose the header, which is kept. */
const MAX_HEADER_CHARS = 200;
/** Of 11. A board of 50 tasks takes 0.15 ms. */
const BROTLI_QUALITY = 4;

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);
const SUPPORTED = ['br', 'gzip', 'identity'];
/** By the header, of which browsers and proxies have few. */
const negotiated = new LRUCache<string, string>({ max: 100 });

/** The encoding of a response of `bytes`, from the request's Accept-Encoding; undefined: as it is. */
export type EncodingFor = (accepted: string | string[] | undefined, bytes: number) => Encoding | undefined;

export const encodingFor: EncodingFor = (accepted, bytes) => {
  if (bytes < MIN_BYTES || bytes > MAX_BYTES || typeof accepted !== 'string') return undefined;
  const known = negotiated.get(accepted);
  const encoding = known ?? preferred(accepted);
  if (known === undefined && accepted.length <= MAX_HEADER_CHARS) negotiated.set(accepted, encoding);
  return encoding === 'identity' ? undefined : (encoding as Encoding);
};

/** Its types are those of an older version. */
interface Preferring {
  encodings(available: readonly string[], options: { readonly preferred: readonly string[] }): string[];
}

function preferred(accepted: string): string {
  const negotiator = new Negotiator({ headers: { 'accept-encoding': accepted } }) as unknown as Preferring;
  return negotiator.encodings(SUPPORTED, { preferred: SUPPORTED })[0] ?? 'identity';
}

export function compress(text: string, encoding: Encoding): Promise<Buffer> {
  if (encoding === 'gzip') return gzipped(text);
  return brotli(text, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    },
  });
}

/** What was compressed of texts that are sent again and again. It goes with its owner. */
export class CompressedTexts<Owner extends { readonly text: string }> {
  readonly #compressed = new WeakMap<Owner, Partial<Record<Encoding, Promise<Buffer>>>>();

  of(owner: Owner, encoding: Encoding): Promise<Buffer> {
    const known = this.#compressed.get(owner) ?? {};
    this.#compressed.set(owner, known);
    known[encoding] ??= compress(owner.text, encoding);
    return known[encoding];
  }
}
