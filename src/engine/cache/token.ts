/** Random values that never repeat. */
import { randomBytes, randomInt } from 'node:crypto';

const TOKEN_BYTES = 12;
/** Tokens whose bytes are fetched at once: one call to the system's source costs as much as hundreds of tokens. */
const TOKENS_FETCHED = 256;
let bytes = Buffer.alloc(0);
let used = 0;

/** 96 random bits, for tokens, purges and generations. */
export function randomToken(): string {
  if (used === bytes.length) {
    bytes = randomBytes(TOKENS_FETCHED * TOKEN_BYTES);
    used = 0;
  }
  used += TOKEN_BYTES;
  return bytes.toString('base64url', used - TOKEN_BYTES, used);
}

/** Names one life of the log. It is part of the records' ids, so it is a decimal below 2^48. */
export function randomEpoch(): string {
  return String(randomInt(1, 2 ** 48 - 1));
}
