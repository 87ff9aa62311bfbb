/** Headers of errors, as Apollo Server wants them in `extensions.http`. */
import { HeaderMap } from '@apollo/server';

/** Apollo wants a HeaderMap there; another library's types, which come along, say otherwise. */
export function headerMap(headers: readonly (readonly [string, string])[]): never {
  const map = new HeaderMap();
  for (const [name, value] of headers) map.set(name, value);
  return map as never;
}

interface Http {
  readonly status?: number;
  readonly headers?: Iterable<readonly [string, string]>;
}

/** The status and headers of an error that names them. */
export function httpOf(extensions: Readonly<Record<string, unknown>>): Http {
  return (extensions['http'] ?? {}) as Http; // as `headerMap` and errors.ts make it
}
