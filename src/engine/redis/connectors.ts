/**
 * Connectors that open the sockets of ioredis. Its own ones listen for one error of each socket, but a TLS socket that
 * refuses the server's certificate emits two: its own, and the alert that the server answers with. The second, without
 * a listener, would end the process.
 */
import { createConnection, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  AbstractConnector,
  type Cluster,
  type Redis,
  type SentinelConnectionOptions,
  SentinelConnector,
  type StandaloneConnectionOptions,
} from 'ioredis';

/** ioredis has a listener for the first error. Later ones say nothing new: the socket has failed. */
function ignoreLaterErrors(socket: Socket): void {
  socket.on('error', () => {});
}

/** Connects to one server: the `Connector` of clients that no Sentinel directs. */
export class ServerConnector extends AbstractConnector {
  readonly #options: StandaloneConnectionOptions;

  /** @param options those of the client, as ioredis gives them */
  constructor(options: unknown) {
    const given = options as StandaloneConnectionOptions;
    super(given.disconnectTimeout ?? 0);
    this.#options = given;
  }

  override async connect(): Promise<Socket> {
    this.connecting = true;
    // As in ioredis's own connector: the client may be disconnected before there is a socket.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    if (!this.connecting) throw new Error('Connection is closed.');
    const { tls, path, host, port, family } = this.#options;
    const address = path ? { path } : { ...(host != null && { host }), port, ...(family != null && { family }) };
    const socket = tls ? connectTls({ ...address, ...tls }) : createConnection(address as NetConnectOpts);
    socket.once('error', (error) => {
      this.firstError = error;
    });
    ignoreLaterErrors(socket);
    this.stream = socket;
    return socket;
  }
}

/** Private in ioredis's types; all of its versions 5 have it. */
interface Connecting {
  connectToSentinel(endpoint: unknown, options?: object): Redis;
}

/**
 * Connects to the server that Sentinels name. ioredis watches Sentinels for failovers by clients of its own, and prints
 * the stack of each error of these: a Sentinel that is down would fill stderr, where a server's log is JSON. The event
 * `sentinelError` says why no Sentinel answers.
 */
export class SentinelServerConnector extends SentinelConnector {
  /** @param options those of the client, as ioredis gives them */
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
    const own = this as unknown as Connecting;
    const connect = own.connectToSentinel.bind(this);
    own.connectToSentinel = (endpoint, options) =>
      connect(endpoint, { ...options, Connector: ServerConnector }).on('error', () => {});
  }

  override async connect(...args: Parameters<SentinelConnector['connect']>): Promise<Socket> {
    const socket = await super.connect(...args);
    ignoreLaterErrors(socket);
    return socket;
  }
}

/** Private in ioredis's types; all of its versions 5 have it. */
interface Subscribing {
  readonly subscriber: { selectSubscriber(): void; getInstance(): Redis | null };
}

/** Does the same for the client that a Cluster subscribes with: the Cluster makes it itself, without a `Connector`. */
export function watchSubscriber(cluster: Cluster): void {
  const { subscriber } = cluster as unknown as Subscribing;
  const select = subscriber.selectSubscriber.bind(subscriber);
  subscriber.selectSubscriber = () => {
    select();
    const client = subscriber.getInstance();
    client?.on('connecting', () => {
      // ioredis opens the socket in the next tick.
      process.nextTick(() => {
        const { stream } = (client as unknown as { connector: { stream?: Socket } }).connector;
        if (stream) ignoreLaterErrors(stream);
      });
    });
  };
}
