/** The engine's errors: a closed set of stable codes. Readers of a value never get one because of the cache. */

export type CacheErrorCode =
  | 'POLICY'
  | 'STORE_UNAVAILABLE'
  | 'DATABASE_REFUSED'
  | 'SERVER_TOO_OLD'
  | 'UNENCODABLE'
  | 'LOAD_SHAPE'
  | 'FENCE_REFUSED';

export class CacheError extends Error {
  override readonly name = 'CacheError';

  constructor(
    readonly code: CacheErrorCode,
    message: string,
    options?: { cause: unknown },
  ) {
    super(message, options);
  }
}
