/** Random values that never occur twice. */
import { randomBytes } from 'node:crypto';

/** 96 random bits, for tokens, purges and generations: none ever occurs twice. */
export function randomToken(): string {
  return randomBytes(12).toString('base64url');
}
