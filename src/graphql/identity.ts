/** The sender of a request, as proved by its token. */
import type { UserId } from '../db/ids.js';
import type { ReadSet } from '../engine/cache/index.js';

/** The claims of a token that passed every check. */
export interface VerifiedToken {
  readonly subject: string;
  /** The words of its `scope` claim. */
  readonly scopes: readonly string[];
  /** When the token expires. A connection that lives longer must be closed. */
  readonly expiresAtMs: number;
  /** Profile of the user, if the issuer provides it. */
  readonly profile: {
    readonly handle?: string | undefined;
    readonly name?: string | undefined;
    /** Only an address that the issuer has verified. */
    readonly email?: string | undefined;
  };
}

/** The user a token was resolved to. */
export interface Identity {
  readonly userId: UserId;
  /** The words of its `scope` claim. */
  readonly scopes: readonly string[];
  /** When the token expires. A connection that lives longer must be closed. */
  readonly expiresAtMs: number;
}

/** The sender of a token. */
export interface TokenSender {
  readonly address: string;
  /**
   * The read set of the request, which sees a user created while the token is checked. Absent: nothing is read later.
   */
  readonly readSet?: ReadSet | undefined;
}
