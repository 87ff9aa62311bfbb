/** What one process, one address and one client may hold of subscriptions, and the codes that a WebSocket is closed with. */
import { CloseCode } from 'graphql-ws';
import { SECOND } from '../../std/time.js';
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from './connection-slots.js';

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

export interface SubscriptionLimits extends ConnectionLimits {
  /** Of one connection; more are refused, the others go on. */
  readonly maxSubscriptions: number;
  /** Of one viewer, on all its connections to this process. */
  readonly maxSubscriptionsPerViewer: number;
  /** Of one subscription, waiting to be sent. */
  readonly maxQueued: number;
  /** Of one connection, handed to the socket and not yet taken by the network. */
  readonly maxBufferedBytes: number;
  /** From a client. */
  readonly maxMessageBytes: number;
  /** How long a connection may be silent about who it is. */
  readonly initWaitMs: number;
  /** A client that does not answer one ping before the next is gone. */
  readonly pingEveryMs: number;
  /** How long a connection that is ended may take to say goodbye. */
  readonly goodbyeMs: number;
}

export const DEFAULT_LIMITS: SubscriptionLimits = {
  ...DEFAULT_CONNECTION_LIMITS,
  maxSubscriptions: 50,
  maxSubscriptionsPerViewer: 200,
  maxQueued: 2000,
  maxBufferedBytes: 1024 * 1024,
  maxMessageBytes: 64 * 1024,
  initWaitMs: 5 * SECOND,
  pingEveryMs: 15 * SECOND,
  goodbyeMs: 2 * SECOND,
};
