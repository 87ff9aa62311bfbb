/**
 * ioredis watches Sentinels for failovers by clients of its own, and prints the stack of each error of these: a Sentinel
 * that is down would fill stderr, where a server's log is JSON. The event `sentinelError` says why no Sentinel answers.
 */
import { type Redis, type SentinelConnectionOptions, SentinelConnector } from 'ioredis';

/** Private in ioredis's types; all of its versions 5 have it. */
interface Connecting {
  connectToSentinel(...args: readonly unknown[]): Redis;
}

export class QuietSentinels extends SentinelConnector {
  /** @param options those of the client, as ioredis gives them */
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
    const own = this as unknown as Connecting;
    const connect = own.connectToSentinel.bind(this);
    own.connectToSentinel = (...args) => connect(...args).on('error', () => {});
  }
}
