/** How many WebSockets and subscriptions a process, an address, a viewer and a connection may hold. */
import { SECOND } from '../std/time.js';

export interface ConnectionLimits {
  /** In this process. */
  readonly maxConnections: number;
  /** Of one address; of IPv6, one network of 64 bits. */
  readonly maxConnectionsPerAddress: number;
  readonly maxConnectionsPerViewer: number;
  /** In this process, without an accepted `connection_init`. */
  readonly maxUnauthenticated: number;
  /** The same, of one address. */
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
