/**
 * Which errors concern a statement's connection and not the statement: a read that failed with one may be sent again.
 */

/** The connection ended during a statement: codes of the driver and of the system, and SQLSTATEs. */
const LOST = new Set([
  ...['CONNECTION_CLOSED', 'CONNECTION_DESTROYED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED'],
  ...['57P01', '57P02', '08003', '08006'],
]);

/** No connection can be opened now, or Postgres does not accept it: it is away, starting, stopping or full. */
const UNREACHABLE = new Set([
  ...[
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOENT',
    'CONNECT_TIMEOUT',
  ],
  ...['57P03', '53300', '08000', '08001', '08004', 'POSTGRES_NO_ANSWER'],
]);

/** Bounds the chain of causes that is searched. */
const MAX_CAUSES = 10;

export function isConnectionLost(error: unknown): boolean {
  return codesOf(error).some((code) => LOST.has(code));
}

/** Postgres could not be reached: the same statement may succeed later. */
export function isUnavailable(error: unknown): boolean {
  return codesOf(error).some((code) => LOST.has(code) || UNREACHABLE.has(code));
}

/** The code of the error and those of its causes: Drizzle and graphql-js wrap the driver's error. */
function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  let cause = error;
  for (let n = 0; n < MAX_CAUSES && typeof cause === 'object' && cause !== null; n++) {
    const { code, originalError, cause: inner } = cause as { code?: unknown; originalError?: unknown; cause?: unknown };
    if (typeof code === 'string') codes.push(code);
    cause = originalError ?? inner;
  }
  return codes;
}
