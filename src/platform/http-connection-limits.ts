/** Limits on HTTP connections, per process and per address. */

export interface HttpConnectionLimits {
  /** Connections per process. */
  readonly maxConnections: number;
  /**
   * Connections per address; for IPv6, per network of 64 bits. Trusted proxies have no such limit, because they forward
   * the requests of all clients.
   */
  readonly maxConnectionsPerAddress: number;
}

/** An idle connection takes about 10 KiB. */
export const DEFAULT_HTTP_CONNECTION_LIMITS: HttpConnectionLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1000,
};
