/** A connection URL that cannot be used. The message names the part or parameter at fault, and no password. */
export class ConnectionUrlError extends Error {
  override readonly name = 'ConnectionUrlError';
  readonly code = 'CONNECTION_URL';
}

/** @throws ConnectionUrlError */
export function fault(message: string): never {
  throw new ConnectionUrlError(message);
}
