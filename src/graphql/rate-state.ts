/** A caller's rate limit after a request. */
export interface RateState {
  readonly limit: number;
  readonly cost: number;
  readonly remaining: number;
  /** ISO 8601. */
  readonly resetAt: string;
  readonly resetMs: number;
}
