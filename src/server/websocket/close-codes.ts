/** The codes with which WebSockets are closed, and their reasons for the client. */
import { CloseCode } from 'graphql-ws';

/** A close code and its reason. */
export type Ending = readonly [number, string];

/**
 * Why the server closes a connection. After all but `unauthorized` and `failed` the graphql-ws client reconnects by
 * itself.
 */
export const CLOSE = {
  /** The client reads messages more slowly than they arrive. */
  tooSlow: [4290, 'Too slow: messages wait for the client to read them'],
  /** Messages of this address use more time than allowed. */
  tooFast: [4292, 'Too many messages: send them more slowly'],
  /** The viewer has the maximum number of connections. */
  tooMany: [4291, 'Too many connections of this viewer: close another one first'],
  unauthorized: [
    CloseCode.Unauthorized,
    'Unauthorized: expected {"authorization": "Bearer <token>"} or {"token": "<token>"}',
  ],
  /** The token is invalid or has expired. */
  badToken: [CloseCode.Forbidden, 'Forbidden: the token is invalid'],
  tokenEnded: [CloseCode.Forbidden, 'Forbidden: the token has expired'],
  viewerGone: [CloseCode.Forbidden, 'Forbidden: the user of the token does not exist or is deactivated'],
  /** Others wait to authenticate, and this connection has been silent for the longest time. */
  evicted: [CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'],
  /** The process is shutting down. */
  goingAway: [1001, 'Going away'],
  /** Tokens cannot be verified at the moment, or Postgres has been unavailable for long. */
  tryAgain: [1013, 'Try again later'],
  failed: [CloseCode.InternalServerError, 'Internal server error'],
} as const satisfies Record<string, Ending>;
