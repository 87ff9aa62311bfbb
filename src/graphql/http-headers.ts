/** HTTP headers of errors, in the form that Apollo Server expects in `extensions.http`. */
import { HeaderMap } from '@apollo/server';

/** Apollo expects a HeaderMap; the types of an included library say otherwise. */
export function headerMap(headers: readonly (readonly [string, string])[]): never {
  const map = new HeaderMap();
  for (const [name, value] of headers) map.set(name, value);
  return map as never;
}

interface Http {
  readonly status?: number;
  readonly headers?: Iterable<readonly [string, string]>;
}

/** The status and headers of an error that has them. */
export function httpOf(extensions: Readonly<Record<string, unknown>>): Http {
  return (extensions['http'] ?? {}) as Http; // set by `headerMap` and errors.ts
}
