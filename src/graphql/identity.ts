/** Who sent a request, as its token proves. */
import type { UserId } from '../db/ids.js';
import type { ReadSet } from '../engine/cache/index.js';

/** What a token says that passed every check. */
export interface VerifiedToken {
  readonly subject: string;
  /** The words of its `scope`. */
  readonly scopes: readonly string[];
  /** From then on it counts no more: a connection that lives on must be closed. */
  readonly expiresAtMs: number;
  /** Of the person, where the issuer tells. */
  readonly profile: { readonly handle?: string | undefined; readonly name?: string | undefined };
}

/** What a token says of whoever sent it. */
export interface Identity {
  readonly userId: UserId;
  /** The words of its `scope`. */
  readonly scopes: readonly string[];
  /** When the token ends: what outlives a request, a connection, must end with it. */
  readonly expiresAtMs: number;
}

/** What brings a token. */
export interface TokenSender {
  readonly address: string;
  /** The readSet of the request, which sees what checking the token writes. Absent: nothing is read afterwards. */
  readonly readSet?: ReadSet | undefined;
}
