/** Random values that never occur twice. */
import { randomBytes, randomInt } from 'node:crypto';

const TOKEN_BYTES = 12;
/** Fetched at once: each call to the system's source costs as much as hundreds of tokens. */
const TOKENS_FETCHED = 256;
let bytes = Buffer.alloc(0);
let used = 0;

/** 96 random bits, for tokens, purges and generations: none ever occurs twice. */
export function randomToken(): string {
  if (used === bytes.length) {
    bytes = randomBytes(TOKENS_FETCHED * TOKEN_BYTES);
    used = 0;
  }
  used += TOKEN_BYTES;
  return bytes.toString('base64url', used - TOKEN_BYTES, used);
}

/** A number for the life of one log: part of its records' ids, so a decimal below 2^48. */
export function randomEpoch(): string {
  return String(randomInt(1, 2 ** 48 - 1));
}
