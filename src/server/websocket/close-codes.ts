/** The codes that a WebSocket is closed with, and what each says to the client. */
import { CloseCode } from 'graphql-ws';

/** A code, and what it means, for people. */
export type Ending = readonly [number, string];

/** Why the server ends a connection. After all of them but `unauthorized` and `failed` the client of graphql-ws connects again by itself. */
export const CLOSE = {
  /** The client takes what it is sent more slowly than it comes. */
  tooSlow: [4290, 'Too slow: more waits to be sent than is kept'],
  /** The messages of its address take more time than they may. */
  tooFast: [4292, 'Too many messages: send them more slowly'],
  /** The viewer has as many connections as it may have. */
  tooMany: [4291, 'Too many connections of this viewer: close another one first'],
  unauthorized: [
    CloseCode.Unauthorized,
    'Unauthorized: expected {"authorization": "Bearer <token>"} or {"token": "<token>"}',
  ],
  /** The token does not count, or no more. */
  badToken: [CloseCode.Forbidden, 'Forbidden: the token does not count'],
  tokenEnded: [CloseCode.Forbidden, 'Forbidden: the token has expired'],
  /** Others wait to say who they are, and this one has said nothing for longest. */
  evicted: [CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'],
  /** This process ends. */
  goingAway: [1001, 'Going away'],
  /** Tokens cannot be checked now, or Postgres has been away for long. */
  tryAgain: [1013, 'Try again later'],
  failed: [CloseCode.InternalServerError, 'Internal server error'],
} as const satisfies Record<string, Ending>;
