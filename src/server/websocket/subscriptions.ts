/**
 * Subscriptions and queries over WebSockets at the API's URL with the subprotocol graphql-transport-ws (the package
 * graphql-ws). A connection authenticates in `connection_init` and lives as long as its token. Mutations go over HTTP.
 *
 * Close codes in addition to those of graphql-ws: 4290, 4291, 4292, 4403, 1001 and 1013, see close-codes.ts. After
 * these a client may reconnect.
 */

import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { type Context as Connected, handleProtocols, makeServer } from 'graphql-ws';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { asGraphQLError } from '../../graphql/errors.js';
import type { Identity, TokenSender } from '../../graphql/identity.js';
import type { Log } from '../../platform/log.js';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import { SECOND } from '../../std/time.js';
import { bearerToken } from '../auth/bearer.js';
import { addressOf, type HttpSecurityOptions } from '../http/http-security.js';
import type { PipelinedResponses } from '../http/pipelined-responses.js';
import type { refusalLog } from '../http/refusal-log.js';
import { clientGone } from '../http/request-lifetime.js';
import type { AnswerStream } from '../live/answer-stream.js';
import { SendQueue } from '../live/send-queue.js';
import type { StalledClients, UnsentMessages } from '../live/stalled-clients.js';
import { callerOf, type RateLimits } from '../rate-limit/rate-limit.js';
import { CLOSE, type Ending } from './close-codes.js';
import type { ConnectionSlot, ConnectionSlots } from './connection-slots.js';
import { MessageTime } from './message-time.js';
import type { ResultForm } from './result-form.js';
import type { Subscriber, SubscriptionRequests } from './subscription-requests.js';
import { whenTokenEnds } from './token-end.js';

/** Time limit for connections to close when the process shuts down. */
const DRAIN_MS = SECOND;
/** A connection that is closed in favor of another has lost its slot, so it must end soon. */
const EVICTED_GOODBYE_MS = 100;

export interface SubscriptionOptions extends Pick<HttpSecurityOptions, 'trustProxy'> {
  readonly requests: SubscriptionRequests;
  readonly slots: ConnectionSlots;
  readonly limits: SubscriptionLimits;
  readonly log: Log;
  readonly logRefusal: ReturnType<typeof refusalLog>;
  readonly stalled: StalledClients;
  readonly pipelined: PipelinedResponses;
  readonly rateLimits?: RateLimits | undefined;
  /** Whether the processing time of an address's messages is limited. */
  readonly timeLimits?: boolean;
  readonly results: ResultForm;
  /** @throws UNAUTHENTICATED; RATE_LIMITED if the token would create a new user */
  readonly verifyToken: (token: string, from: TokenSender) => Promise<Identity>;
}

/** A client that is connected by a WebSocket. */
interface Client extends Subscriber {
  readonly address: string;
  readonly socket: WebSocket;
  readonly unsent: UnsentMessages;
  readonly slot: ConnectionSlot;
  identity?: Identity;
  params?: Connection['connectionParams'];
}

type Connection = Connected<Record<string, unknown> | undefined, Client>;

/**
 * Serves WebSockets on the same port until the application closes.
 * @returns how many are open
 */
export function serveSubscriptions(app: FastifyInstance, endpoint: string, options: SubscriptionOptions): () => number {
  const upgrades = new Upgrades(options);
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {}); // the client may have gone already
    // A client may not change the protocol before it has its responses: the bytes would come in the middle of one.
    if (options.pipelined.isInUse(request.socket)) return socket.destroy();
    if (request.url?.split('?')[0] !== endpoint) return refuse(socket, '404 Not Found');
    return upgrades.admit(request, socket, head);
  });
  app.addHook('preClose', () => upgrades.close());
  return () => upgrades.open;
}

/** Turns HTTP connections into WebSockets, within the limits of the process and of each address. */
class Upgrades {
  readonly #sockets: WebSocketServer;
  readonly #limits: SubscriptionLimits;
  readonly #slots: ConnectionSlots;
  readonly #addressOf: (request: IncomingMessage) => string;
  readonly #logRefusal: ReturnType<typeof refusalLog>;
  readonly #rateLimits: SubscriptionOptions['rateLimits'];
  readonly #connectOptions: Omit<ConnectOptions, 'address' | 'network' | 'slot'>;
  #closing = false;

  constructor(options: SubscriptionOptions) {
    const { limits, slots, log, stalled } = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      handleProtocols,
      maxPayload: limits.maxMessageBytes,
      allowSynchronousEvents: false, // one message of a connection per tick: a chunk may contain thousands
    });
    this.#limits = limits;
    this.#slots = slots;
    this.#addressOf = addressOf(options);
    this.#logRefusal = options.logRefusal;
    this.#rateLimits = options.rateLimits;
    const messageTime = options.timeLimits === true ? new MessageTime(limits) : undefined;
    this.#connectOptions = { protocol: protocolServer(options), limits, log, stalled, messageTime };
  }

  async admit(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    if (this.#closing) return refuse(socket, '503 Service Unavailable');
    const address = this.#addressOf(request);
    const slot = this.#takeSlot(address);
    if (typeof slot === 'string') {
      this.#logRefusal(slot, address);
      return refuse(socket, slot === 'address' ? '429 Too Many Requests' : '503 Service Unavailable');
    }
    socket.once('close', () => slot.release());
    if (this.#connectOptions.messageTime?.has(address) === false) return refuse(socket, '429 Too Many Requests');
    slot.evict = () => refuse(socket, '503 Service Unavailable');
    try {
      await this.#rateLimits?.checkAddress(address);
    } catch {
      return refuse(socket, '429 Too Many Requests');
    }
    if (this.#closing) return refuse(socket, '503 Service Unavailable');
    this.#sockets.handleUpgrade(request, socket, head, (client) =>
      connect(client, { ...this.#connectOptions, address, network: socket, slot }),
    );
  }

  /** @returns the slot, or whose limit is reached */
  #takeSlot(address: string): ReturnType<ConnectionSlots['take']> {
    if (this.#sockets.clients.size >= this.#limits.maxConnections) return 'process';
    return this.#slots.take(address);
  }

  get open(): number {
    return this.#sockets.clients.size;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await drain(this.#sockets);
  }
}

/** Responds before the upgrade. The client must not keep its side of the connection open. */
function refuse(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n`);
}

/** Not `complete`: a client that only sees the connection end subscribes again, at another process. */
async function drain(sockets: WebSocketServer): Promise<void> {
  const closed = [...sockets.clients].map(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
        end(socket, CLOSE.goingAway, DRAIN_MS);
      }),
  );
  await Promise.all(closed);
}

function end(socket: WebSocket, [code, reason]: Ending, graceMs: number): void {
  socket.close(code, reason);
  // A client that does not read would not read this either.
  const timer = setTimeout(() => socket.terminate(), graceMs);
  socket.once('close', () => clearTimeout(timer));
}

interface ConnectOptions {
  readonly address: string;
  /** The connection below the WebSocket. */
  readonly network: Duplex;
  readonly slot: ConnectionSlot;
  readonly stalled: StalledClients;
  readonly protocol: ReturnType<typeof protocolServer>;
  readonly limits: SubscriptionLimits;
  readonly log: Log;
  /** Absent: no time limit for messages. */
  readonly messageTime: MessageTime | undefined;
}

/** Connects a socket with the protocol. */
function connect(socket: WebSocket, options: ConnectOptions): void {
  const { address, protocol, limits, log, messageTime } = options;
  // Network errors and invalid frames: the socket closes itself with a suitable code.
  socket.on('error', (error) => log.debug({ err: error }, 'a WebSocket failed'));
  const gone = new AbortController();
  setMaxListeners(0, gone.signal); // every load of every subscription may listen
  const client = clientOf(socket, gone.signal, options);
  const stopPinging = keepAlive(client, limits.pingEveryMs);
  // Nothing more is read from it, so its closing handshake is not seen.
  const tooFast = () => end(socket, CLOSE.tooFast, EVICTED_GOODBYE_MS);
  const handle = messageTime?.guard(socket, address, tooFast) ?? ((work: () => void) => work());
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      send: (text) => send(client, text, limits.maxBufferedBytes),
      close: (code = CLOSE.failed[0], reason = '') => client.end([code, reason]),
      onMessage: (receive) => socket.on('message', (data) => handle(() => receiveText(client, receive, data, log))),
    },
    client,
  );
  socket.once('close', (code, reason) => {
    stopPinging();
    gone.abort(clientGone());
    closed(code, String(reason)).catch((error: unknown) => log.error({ err: error }, 'a subscription did not end'));
  });
}

function clientOf(
  socket: WebSocket,
  signal: AbortSignal,
  { address, network, slot, limits, stalled }: ConnectOptions,
): Client {
  const ending = (why: Ending) => {
    if (socket.readyState === socket.OPEN) end(socket, why, limits.goodbyeMs);
  };
  const unsent = stalled.watch({
    network,
    caller: () => callerOf({ userId: client.identity?.userId }, address),
    end: () => ending(CLOSE.tooSlow),
  });
  const write = (text: string) => writeTo(client, text);
  const sendQueue = new SendQueue({ room: unsent, send: write, failed: () => socket.terminate() });
  const client: Client = { socket, address, slot, unsent, sendQueue, signal, end: ending, subscriptions: 0 };
  slot.evict = () => end(socket, CLOSE.evicted, EVICTED_GOODBYE_MS);
  return client;
}

/** Resolves when the network has taken the message, so the next event is requested at the client's pace. */
async function send(client: Client, text: string, maxBufferedBytes: number): Promise<void> {
  const { socket, unsent, sendQueue, end } = client;
  // The send queue has its own bound: one message.
  const isFull = socket.bufferedAmount - sendQueue.unsentBytes > maxBufferedBytes;
  if (isFull || !unsent.hasForEvent(Buffer.byteLength(text))) end(CLOSE.tooSlow);
  else await writeTo(client, text);
}

/** Resolves when the network has taken the message, or the connection is being closed. */
function writeTo({ socket, unsent }: Client, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.readyState !== socket.OPEN) return resolve();
    const taken = unsent.add(Buffer.byteLength(text));
    socket.send(text, (error) => {
      taken();
      if (error) reject(error);
      else resolve();
    });
  });
}

function receiveText({ socket, end }: Client, receive: (text: string) => Promise<void>, data: RawData, log: Log): void {
  receive(String(data)).catch((error: unknown) => {
    if (socket.readyState !== socket.OPEN) return; // events in progress have no receiver
    log.error({ err: error }, 'a WebSocket message could not be handled');
    end(CLOSE.failed);
  });
}

/**
 * Pings a connection on which nothing waits for the network, and ends it if the pong has not come by the next ping.
 * While messages wait, a ping would wait behind them; then stalled-clients.ts ends a connection that takes none.
 * @returns a function that stops it
 */
function keepAlive({ socket, unsent }: Client, everyMs: number): () => void {
  let pings = 0;
  let answered = true;
  socket.on('pong', (data) => {
    if (String(data) === String(pings)) answered = true;
  });
  const timer = setInterval(() => {
    if (unsent.anyWithin(everyMs)) answered = true;
    else if (!answered) socket.terminate();
    else if (socket.readyState === socket.OPEN) {
      answered = false;
      socket.ping(String(++pings));
    }
  }, everyMs);
  return () => clearInterval(timer);
}

function protocolServer(options: SubscriptionOptions) {
  const { limits, requests, results } = options;
  return makeServer<Record<string, unknown> | undefined, Client>({
    connectionInitWaitTimeout: limits.initWaitMs,
    onConnect: (connection) => authenticate(connection, options),
    onSubscribe: async ({ extra }, id, payload) => {
      try {
        const accepted = await requests.accept(extra, payload);
        if (!('kind' in accepted)) return accepted;
        if (accepted.kind === 'subscription') return accepted.args;
        const message = (answer: string) => `{"id":${JSON.stringify(id)},"type":"next","payload":${answer}}`;
        return { ...accepted.args, contextValue: requests.answer(accepted, extra, message) };
      } catch (error) {
        return [asGraphQLError(error)];
      }
    },
    subscribe: (args) => requests.run(args as ExecutionArgs),
    execute: ({ contextValue }) => contextValue as AnswerStream,
    onNext: (_connection, _id, _payload, _args, result) => results.changed(result),
    onError: (_connection, _id, _payload, errors) => errors.map(results.error),
  });
}

async function authenticate(
  { connectionParams, extra }: Connection,
  { verifyToken, log }: SubscriptionOptions,
): Promise<boolean> {
  extra.params = connectionParams;
  const token = tokenIn(connectionParams);
  if (token === undefined) return refused(extra, CLOSE.unauthorized);
  try {
    extra.identity = await verifyToken(token, { address: extra.address });
  } catch (error) {
    const code = error instanceof GraphQLError ? error.extensions['code'] : undefined;
    if (code === 'UNAUTHENTICATED') return refused(extra, CLOSE.badToken);
    const isOneTooMany = code === 'RATE_LIMITED' || code === 'TOO_MANY_WRITES'; // for a new user
    if (!isOneTooMany) log.warn({ err: error }, 'a WebSocket token could not be verified');
    return refused(extra, CLOSE.tryAgain);
  }
  if (!extra.slot.authenticate(extra.identity.userId)) return refused(extra, CLOSE.tooMany);
  const { socket, end } = extra;
  if (socket.readyState === socket.OPEN) {
    const cancel = whenTokenEnds(extra.identity, () => end(CLOSE.tokenEnded));
    socket.once('close', cancel);
  }
  return true;
}

function refused({ end }: Client, why: Ending): false {
  end(why); // the close code for `false` would be sent too late
  return false;
}

function tokenIn(params: Record<string, unknown> | undefined): string | undefined {
  const { authorization, Authorization, token } = params ?? {};
  if (typeof token === 'string') return token;
  const header = authorization ?? Authorization;
  return typeof header === 'string' ? bearerToken(header) : undefined;
}
