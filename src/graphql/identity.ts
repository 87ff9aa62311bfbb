/** The sender of a request, as proved by its token. */
import type { UserId } from '../db/ids.js';

/** The claims of a token that passed every check. */
export interface VerifiedToken {
  readonly subject: string;
  /** The words of its `scope` claim. */
  readonly scopes: readonly string[];
  /** When the token expires. A connection that lives longer must be closed. */
  readonly expiresAtMs: number;
  /** Profile of the user, if the issuer provides it. */
  readonly profile: { readonly handle?: string | undefined; readonly name?: string | undefined };
}

/** The user a token was resolved to. */
export interface Identity {
  readonly userId: UserId;
  /** The words of its `scope` claim. */
  readonly scopes: readonly string[];
  /** When the token expires. A connection that lives longer must be closed. */
  readonly expiresAtMs: number;
}
