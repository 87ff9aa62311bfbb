/**
 * Limits on connections that stay open (WebSockets, server-sent events), on subscriptions and on live queries, per
 * process, address, viewer and connection.
 */
import { SECOND } from '../std/time.js';

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
  /** Events per subscription that are queued for sending. */
  readonly maxQueued: number;
  /** Bytes per connection that were handed to the socket but not yet sent. */
  readonly maxBufferedBytes: number;
  /** Size of a message from a client. */
  readonly maxMessageBytes: number;
  /** Maximum time until a connection must send `connection_init`. */
  readonly initWaitMs: number;
  /**
   * Interval of pings. A WebSocket that does not answer one ping before the next is closed. Event streams have a
   * comment as often.
   */
  readonly pingEveryMs: number;
  /** Maximum time for the closing handshake of a connection. */
  readonly goodbyeMs: number;
}

export const DEFAULT_LIMITS: SubscriptionLimits = {
  ...DEFAULT_CONNECTION_LIMITS,
  maxLiveQueries: 20_000,
  maxSubscriptions: 50,
  maxSubscriptionsPerViewer: 200,
  maxQueued: 2000,
  maxBufferedBytes: 1024 * 1024,
  maxMessageBytes: 64 * 1024,
  initWaitMs: 5 * SECOND,
  pingEveryMs: 15 * SECOND,
  goodbyeMs: 2 * SECOND,
};
