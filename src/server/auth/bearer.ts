/** Reads the token from the `Authorization` header, or from the same member of a WebSocket's `connection_init`. */

const SCHEME = /^bearer[ \t]/i;

/**
 * The token of a `Bearer <token>` header, with any number of blanks. Undefined for another scheme or without a header.
 */
export function bearerToken(header: string | undefined): string | undefined {
  const text = header?.trim() ?? '';
  return SCHEME.test(text) ? text.slice('bearer'.length).trim() : undefined;
}
