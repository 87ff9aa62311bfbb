/** Reads the token from the header `Authorization`, and from the same member of a WebSocket's `connection_init`. */

const SCHEME = /^bearer[ \t]/i;

/**
 * The token of a header `Bearer <token>`, however many blanks are between and around the two. Undefined for another scheme, and where
 * there is no header.
 */
export function bearerToken(header: string | undefined): string | undefined {
  const text = header?.trim() ?? '';
  return SCHEME.test(text) ? text.slice('bearer'.length).trim() : undefined;
}
