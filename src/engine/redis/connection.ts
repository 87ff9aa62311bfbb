/**
 * How Redis is reached. A command goes out on a live connection now or fails now; it is never kept for later. Every
 * connection knows the run id of the server it leads to, since the lease is one run's alone.
 */
import calculateSlot from 'cluster-key-slot';
import { type Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { ConnectionFailure, type FailureReason } from './connection-failure.js';
import { SentinelServerConnector, ServerConnector, watchSubscriber } from './connectors.js';
import {
  accessOf,
  type ClusterPlace,
  databaseIn,
  isBehindSentinels,
  mapped,
  type RedisPlace,
  type SinglePlace,
  serverOptions,
  withoutLogin,
} from './place.js';
import { SendsOnce } from './sends-once.js';
import { ServerTooOld, tooOldIn } from './server-version.js';
import { withTimeout } from './with-timeout.js';

const MAX_RECONNECT_MS = 500;
const SLOTS_REFRESH_MS = 2000;
/** What a server that keeps INFO from its clients is called: then a failover within a lease is only bounded by it. */
const UNKNOWN_RUN = 'any';

export interface Server {
  /** Its run id. */
  readonly run: string;
  /** The connection that leads there, by number: the next connection has another. */
  readonly link: number;
}

/** A client of one place, with what it knows of the servers behind it. */
export interface Connection {
  readonly client: Redis | Cluster;
  /** The server that keys with this hash tag are on; undefined while there is no connection to it. */
  serverOf(hashTag: string): Server | undefined;
  /**
   * Whether commands go to the database that the place names. ioredis drops a refusal of SELECT and goes on in database
   * 0, which may belong to another installation.
   */
  readonly selected: boolean;
  /** Why there is no connection, in words; undefined while there is one, or when it has only just been lost. */
  readonly failure: string | undefined;
  /**
   * Why the server behind it must not be used: it refuses SELECT, for as long as no later SELECT has succeeded, or it is
   * a `ServerTooOld`.
   */
  readonly refusal: Error | undefined;
  /** Leaves the connection that keys with this hash tag go by. The next is made by itself. `why`: in words. */
  drop(hashTag: string, why: string): void;
  connect(): Promise<void>;
  end(): void;
}

export interface ConnectOptions {
  /** How long one command, and one attempt to connect, may take, ms. */
  readonly waitMs: number;
  /** One attempt on `connect()` and no more. Default: connects by itself, again and again. */
  readonly once?: boolean;
  /** Called when a connection is about to be opened again, with why the last one ended or failed. */
  readonly onReconnect?: (reason: FailureReason) => void;
}

export function openConnection(place: RedisPlace, options: ConnectOptions): Connection {
  return 'cluster' in place ? openCluster(place, options) : openSingle(place, options);
}

/** A client that knows nothing of the server behind it. */
export function openClient(place: RedisPlace, options: ConnectOptions): Redis | Cluster {
  return 'cluster' in place ? clusterClient(place, options) : singleClient(place, options);
}

function singleClient(place: SinglePlace, { waitMs, once }: ConnectOptions, failure?: ConnectionFailure): Redis {
  const retryStrategy = (attempt: number) => (once === true ? null : Math.min(25 * 2 ** attempt, MAX_RECONNECT_MS));
  let leaving = false;
  const options: RedisOptions = {
    ...commandOptions(waitMs),
    enableOfflineQueue: false,
    lazyConnect: once === true,
    retryStrategy,
    // A primary that became a replica: the next connection leads to the new one. Once: the client would leave it again
    // for each error.
    reconnectOnError: (error) => {
      const leave = !leaving && error.message.startsWith('READONLY');
      leaving ||= leave;
      if (leave) failure?.note(error.message);
      return leave;
    },
    sentinelRetryStrategy: retryStrategy,
    sentinelCommandTimeout: 2 * waitMs, // to connect, and to ask
    failoverDetector: once !== true,
    Connector: isBehindSentinels(place) ? SentinelServerConnector : ServerConnector,
  };
  const client =
    'url' in place && !('sentinels' in place)
      ? new Redis(withoutLogin(place.url), { ...accessOf(place), ...options })
      : new Redis({ ...serverOptions(place), ...options });
  client.on('error', () => {}); // every command reports its own failure; the event only repeats it
  client.on('close', () => {
    leaving = false;
  });
  return client;
}

function openSingle(place: SinglePlace, options: ConnectOptions): Connection {
  const { waitMs, once } = options;
  const failure = new ConnectionFailure(options.onReconnect);
  const client = singleClient(place, options, failure);
  failure.watch(client);
  const selection = new Selection(client, 'server' in place ? (place.server.db ?? 0) : databaseIn(place.url), waitMs);
  let server: Server | undefined;
  let tooOld: ServerTooOld | undefined;
  client.on('ready', async () => {
    const [behind] = await Promise.all([serverBehind(client, waitMs), selection.select()]).catch(() => [undefined]);
    tooOld = behind instanceof ServerTooOld ? behind : undefined;
    server = behind instanceof ServerTooOld ? undefined : behind;
    if (behind === undefined && client.status === 'ready') client.disconnect(once !== true);
  });
  client.on('close', () => {
    server = undefined;
    tooOld = undefined;
    selection.lost();
  });
  return {
    client,
    serverOf: () => server,
    get selected() {
      return selection.selected;
    },
    get refusal() {
      return tooOld ?? selection.refusal;
    },
    get failure() {
      return failure.text;
    },
    drop: (_, why) => {
      if (client.status !== 'ready') return;
      failure.note(why);
      client.disconnect(true);
    },
    async connect() {
      await client.connect();
      await selection.select();
    },
    end: () => client.disconnect(),
  };
}

/** Whether commands go to the database of the place: see `Connection`. */
class Selection {
  readonly #client: Redis;
  readonly #database: number;
  readonly #waitMs: number;
  selected: boolean;
  refusal: Error | undefined;

  constructor(client: Redis, database: number, waitMs: number) {
    this.#client = client;
    this.#database = database;
    this.#waitMs = waitMs;
    this.selected = database === 0;
  }

  async select(): Promise<void> {
    if (this.#database === 0) return;
    try {
      await withTimeout(this.#client.select(this.#database), this.#waitMs);
      this.selected = true;
      this.refusal = undefined;
    } catch (error) {
      if (error instanceof Error && error.name === 'ReplyError') this.refusal = error;
      throw error;
    }
  }

  /** The connection has closed. */
  lost(): void {
    this.selected = this.#database === 0;
  }
}

function clusterClient(place: ClusterPlace, { waitMs, once }: ConnectOptions): Cluster {
  const { tls, username, password } = accessOf(place);
  const dnsLookup = place.dnsLookup ?? (tls && keepName);
  const client = new SendsOnce([...place.cluster], {
    enableReadyCheck: false, // with one shard away the others serve
    enableOfflineQueue: false,
    lazyConnect: once === true,
    slotsRefreshTimeout: waitMs,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    clusterRetryStrategy: (attempt) => (once === true ? null : Math.min(25 * 2 ** attempt, MAX_RECONNECT_MS)),
    redisOptions: {
      ...commandOptions(waitMs),
      Connector: ServerConnector,
      ...(tls && { tls }),
      ...(username && { username }),
      ...(password && { password }),
    },
    ...(place.natMap && { natMap: place.natMap }),
    ...(dnsLookup && { dnsLookup }),
  });
  watchSubscriber(client);
  client.on('error', () => {}); // as above
  return client;
}

/** A certificate holds the name that an operator gave, seldom an address. */
const keepName: NonNullable<ClusterOptions['dnsLookup']> = (name, callback) => callback(null, name);

function openCluster(place: ClusterPlace, options: ConnectOptions): Connection {
  const client = clusterClient(place, options);
  const failure = new ConnectionFailure(options.onReconnect);
  failure.watch(client);
  const nodes = watchNodes(client, options, failure);
  const nodeOf = (hashTag: string) => {
    const name = client.slots[calculateSlot(hashTag)]?.[0];
    return name === undefined ? undefined : nodes.get(mapped(name, place.natMap));
  };
  return {
    client,
    serverOf: (hashTag) => nodeOf(hashTag)?.server,
    selected: true, // a Cluster has one database
    get refusal() {
      return [...nodes.values()].find(({ tooOld }) => tooOld !== undefined)?.tooOld;
    },
    get failure() {
      return failure.text;
    },
    drop: (hashTag, why) => {
      const node = nodeOf(hashTag)?.node;
      if (node?.status !== 'ready') return;
      failure.note(why);
      node.disconnect(); // not again: a cluster that misses a node asks the others who has its slots now
    },
    connect: () => client.connect(),
    end: () => client.disconnect(),
  };
}

interface ClusterNode {
  readonly node: Redis;
  /** Undefined while there is no connection to it. */
  server: Server | undefined;
  tooOld: ServerTooOld | undefined;
}

/** The nodes of a cluster by `host:port`, kept up to date. */
function watchNodes(
  client: Cluster,
  { waitMs, once }: ConnectOptions,
  failure: ConnectionFailure,
): ReadonlyMap<string, ClusterNode> {
  const nodes = new Map<string, ClusterNode>();
  client.on('+node', (node: Redis) => {
    const known: ClusterNode = { node, server: undefined, tooOld: undefined };
    const name = `${node.options.host}:${node.options.port}`;
    nodes.set(name, known);
    // A cluster's nodes connect when a command wants them; here none is sent before its server is known.
    if (once !== true) node.connect().catch(() => {});
    node.on('ready', async () => {
      const behind = await serverBehind(node, waitMs);
      known.tooOld = behind instanceof ServerTooOld ? behind : undefined;
      known.server = behind instanceof ServerTooOld ? undefined : behind;
      if (behind === undefined && node.status === 'ready') node.disconnect();
    });
    node.on('close', () => {
      known.server = undefined;
      known.tooOld = undefined;
      failure.reconnecting(); // the cluster opens it again when it next asks who has which slots
    });
    node.on('end', () => {
      if (nodes.get(name) === known) nodes.delete(name);
    });
  });
  return nodes;
}

/**
 * Never queued, never sent twice by the client itself: what a late command may do is the caller's to say. A second copy
 * of a READ would mint the token of the first one again, after a write that took it away. Of a Cluster see
 * sends-once.ts.
 */
function commandOptions(waitMs: number): RedisOptions {
  return {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false, // ioredis handles no failure of that, which would end the process; listener.ts subscribes again
    disableClientInfo: true, // a user may have no right to CLIENT, and each refusal would be in the log of its ACL
    connectTimeout: waitMs, // of commands: see with-timeout.ts
  };
}

/** What is sent from now to the end of this tick leaves in one write. A cluster's nodes write each for itself. */
export function corkForNow(client: Redis | Cluster): void {
  if (!('stream' in client)) return;
  const { stream } = client;
  if (stream === undefined || stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}

let links = 0;

/** Undefined when the connection failed meanwhile. */
async function serverBehind(client: Redis, waitMs: number): Promise<Server | ServerTooOld | undefined> {
  const link = ++links;
  try {
    const info = await withTimeout(client.info('server'), waitMs);
    return tooOldIn(info) ?? { run: /run_id:(\w+)/.exec(info)?.[1] ?? UNKNOWN_RUN, link };
  } catch (error) {
    const refused = error instanceof Error && error.name === 'ReplyError';
    return refused ? { run: UNKNOWN_RUN, link } : undefined;
  }
}
