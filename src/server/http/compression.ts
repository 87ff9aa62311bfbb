/**
 * Compresses responses for clients that accept it. Compressed bytes of a kept response are kept beside it. zlib works on
 * other threads.
 */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { Negotiator } from '@fastify/accept-negotiator';

export type Encoding = 'br' | 'gzip';

/** The smaller gains less than a packet. */
const MIN_BYTES = 1024;
/** A larger one would hold a thread for tens of milliseconds. */
const MAX_BYTES = 1024 * 1024;
/** Of 11. A board of 50 tasks takes 0.15 ms. */
const BROTLI_QUALITY = 4;

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);
const negotiator = new Negotiator<Encoding>({ supportedValues: ['br', 'gzip'] });

/** The encoding of a response of `bytes`, from the request's Accept-Encoding; undefined: as it is. */
export type EncodingFor = (accepted: string | string[] | undefined, bytes: number) => Encoding | undefined;

export const encodingFor: EncodingFor = (accepted, bytes) => {
  if (bytes < MIN_BYTES || bytes > MAX_BYTES || typeof accepted !== 'string') return undefined;
  return negotiator.negotiate(accepted) ?? undefined;
};

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
