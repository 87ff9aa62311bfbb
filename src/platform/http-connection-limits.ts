/** How many HTTP connections a process and an address may hold. */

export interface HttpConnectionLimits {
  /** In this process. */
  readonly maxConnections: number;
  /** From one address; of IPv6, one network of 64 bits. Trusted proxies, which bring everybody's requests, have no such bound. */
  readonly maxConnectionsPerAddress: number;
}

/** An idle connection takes some 10 KiB. */
export const DEFAULT_HTTP_CONNECTION_LIMITS: HttpConnectionLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1000,
};
