/** What the API answers, and its errors. */

/** Close codes of graphql-ws: Unauthorized and Forbidden. */
const REFUSALS: ReadonlySet<number> = new Set([4401, 4403]);

export interface ApiFault {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly resetAt?: string };
}

/** The answer of an operation that ran, with or without errors. */
export interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly ApiFault[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export class ApiError extends Error {
  readonly code: string | undefined;
  /** When there are points again. Absent: no rate limit is reached. */
  readonly resetAt: string | undefined;

  constructor({ message, extensions }: ApiFault) {
    super(message);
    this.code = extensions?.code;
    this.resetAt = extensions?.resetAt;
  }

  /** Another token is needed. */
  get refused(): boolean {
    return this.code === 'FORBIDDEN' || this.code === 'UNAUTHENTICATED';
  }
}

export function isRefusal(fault: unknown): fault is CloseEvent {
  return fault instanceof CloseEvent && REFUSALS.has(fault.code);
}

/** graphql-ws reports errors of the operation, a closed connection or an exception. */
export function errorOf(fault: unknown): ApiError {
  if (Array.isArray(fault) && fault[0] !== undefined) return new ApiError(fault[0] as ApiFault);
  if (isRefusal(fault)) {
    return new ApiError({ message: fault.reason || 'The token was refused.', extensions: { code: 'UNAUTHENTICATED' } });
  }
  if (fault instanceof CloseEvent) return new ApiError({ message: fault.reason || 'The connection was closed.' });
  return new ApiError({ message: fault instanceof Error ? fault.message : 'The connection failed.' });
}
