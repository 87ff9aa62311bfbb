/** Random values that never occur twice. */
import { randomBytes, randomInt } from 'node:crypto';

/** 96 random bits, for tokens, purges and generations: none ever occurs twice. */
export function randomToken(): string {
  return randomBytes(12).toString('base64url');
}

/** A number for the life of one log: part of its records' ids, so a decimal below 2^48. */
export function randomEpoch(): string {
  return String(randomInt(1, 2 ** 48 - 1));
}
