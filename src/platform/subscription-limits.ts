/**
 * Limits on connections that stay open (WebSockets, server-sent events), on subscriptions and on live queries, per
 * process, address, viewer and connection.
 */
import { MINUTE, SECOND } from '../std/time.js';

/** Time after which a connection is closed if bytes wait for the network and it takes none of them. */
export const STALL_MS = 20 * SECOND;
/** Time limit for the network to take one response or message, however slowly: 4 MiB at 300 kbit/s. */
export const READ_WITHIN_MS = 2 * MINUTE;

export interface ConnectionLimits {
  /** Connections per process. */
  readonly maxConnections: number;
  /** Connections per address; for IPv6, per network of 64 bits. */
  readonly maxConnectionsPerAddress: number;
  readonly maxConnectionsPerViewer: number;
  /** Connections per process without an accepted `connection_init`. */
  readonly maxUnauthenticated: number;
  /** Connections per address without an accepted `connection_init`. */
  readonly maxUnauthenticatedPerAddress: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  maxConnections: 5000,
  maxConnectionsPerAddress: 100,
  maxConnectionsPerViewer: 50,
  maxUnauthenticated: 200,
  maxUnauthenticatedPerAddress: 20,
};

export interface SubscriptionLimits extends ConnectionLimits {
  /** Live queries per process; equal ones of a viewer count once. */
  readonly maxLiveQueries: number;
  /** Subscriptions and live queries per connection. Further ones are refused; the others continue. */
  readonly maxSubscriptions: number;
  /** Subscriptions and live queries per viewer, over all its connections to this process. */
  readonly maxSubscriptionsPerViewer: number;
  /** Memory of documents and variables that the subscriptions and live queries of the process hold. */
  readonly maxHeldBytes: number;
  /** Of these, for one viewer. */
  readonly maxHeldBytesPerViewer: number;
  /** Events per subscription that are queued for sending. */
  readonly maxQueued: number;
  /** Bytes per connection that were handed to the socket but not yet sent. */
  readonly maxBufferedBytes: number;
  /** Size of a message from a client. */
  readonly maxMessageBytes: number;
  /** Maximum time until a connection must send `connection_init`. */
  readonly initWaitMs: number;
  /**
   * Interval of pings. A WebSocket that does not answer one ping before the next is closed, unless messages wait for the
   * network: then `stallMs` and `maxWaitMs` decide. Event streams have a comment as often.
   */
  readonly pingEveryMs: number;
  /** A connection is closed if messages wait and the network takes no byte of them for this long. */
  readonly stallMs: number;
  /** A connection is closed if the network has not taken a message after this time. */
  readonly maxWaitMs: number;
  /** Maximum time for the closing handshake of a connection. */
  readonly goodbyeMs: number;
}

export const DEFAULT_LIMITS: SubscriptionLimits = {
  ...DEFAULT_CONNECTION_LIMITS,
  maxLiveQueries: 20_000,
  maxSubscriptions: 50,
  maxSubscriptionsPerViewer: 200,
  maxHeldBytes: 64 * 1024 * 1024,
  maxHeldBytesPerViewer: 8 * 1024 * 1024,
  maxQueued: 2000,
  maxBufferedBytes: 1024 * 1024,
  maxMessageBytes: 64 * 1024,
  initWaitMs: 5 * SECOND,
  pingEveryMs: 15 * SECOND,
  stallMs: STALL_MS,
  maxWaitMs: READ_WITHIN_MS,
  goodbyeMs: 2 * SECOND,
};
