/**
 * Subscriptions: WebSockets at the API's own address, subprotocol graphql-transport-ws (the package graphql-ws on both ends). A connection
 * says who it is in `connection_init`, lives as long as its token, and carries subscriptions only: queries and mutations go over HTTP.
 *
 * Close codes besides those of graphql-ws: 4290, 4403, 1001 and 1013, see CLOSE. After these a client may connect again.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import {
  type ExecutionArgs,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
} from 'graphql';
import { CloseCode, type Context as Connected, handleProtocols, makeServer, type SubscribePayload } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Cache } from '../cache/index.js';
import type { MainDatabase } from '../db/database.js';
import type { Log } from '../log.js';
import { DAY, SECOND } from '../time.js';
import { bearerToken } from './bearer.js';
import { Tracer } from './cache-trace.js';
import type { SubscriptionContext } from './context.js';
import { type CostOf, costsOf, requireAffordable } from './cost.js';
import type { Documents } from './documents.js';
import { badVariable, type ErrorMask } from './errors.js';
import { EventQueue } from './event-queue.js';
import { addressOf, type HttpSecurityOptions } from './http-security.js';
import { Loads } from './loads.js';
import type { PersistedDocuments } from './persisted.js';
import { callerOf, type RateLimits } from './rate-limit.js';
import { isWithin, ResponseTooLarge } from './response-size.js';
import type { Identity } from './server.js';

/** A code, and what it means, for people. */
type Ending = readonly [number, string];

/** Why we end a connection. */
const CLOSE = {
  /** The client takes what it is sent more slowly than it comes. */
  tooSlow: [4290, 'Too slow: more waits to be sent than is kept'],
  unauthorized: [
    CloseCode.Unauthorized,
    'Unauthorized: expected {"authorization": "Bearer <token>"} or {"token": "<token>"}',
  ],
  /** The token does not count, or no more. */
  badToken: [CloseCode.Forbidden, 'Forbidden: the token does not count'],
  tokenEnded: [CloseCode.Forbidden, 'Forbidden: the token has expired'],
  /** This process ends. */
  goingAway: [1001, 'Going away'],
  /** Tokens cannot be checked now. */
  tryAgain: [1013, 'Try again later'],
  failed: [CloseCode.InternalServerError, 'Internal server error'],
} as const satisfies Record<string, Ending>;

/** What one process, and one client, may hold. */
export interface SubscriptionLimits {
  /** Of the process; more are answered with 503. */
  readonly maxConnections: number;
  /** Of one connection; more are refused, the others go on. */
  readonly maxSubscriptions: number;
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

const DEFAULT_LIMITS: SubscriptionLimits = {
  maxConnections: 5000,
  maxSubscriptions: 50,
  maxQueued: 2000,
  maxBufferedBytes: 1024 * 1024,
  maxMessageBytes: 64 * 1024,
  initWaitMs: 5 * SECOND,
  pingEveryMs: 15 * SECOND,
  goodbyeMs: 2 * SECOND,
};

/** The same for all of them when the process ends. */
const DRAIN_MS = SECOND;

/** Of variables, told at once: as graphql-js tells of a query's. */
const MAX_FAULTS = 50;

export interface SubscriptionOptions extends Pick<HttpSecurityOptions, 'trustProxy'> {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly log: Log;
  readonly mask: ErrorMask;
  /** @throws UNAUTHENTICATED */
  readonly verifyToken: (token: string) => Promise<Identity>;
  /** Clients shall not learn the schema from errors. */
  readonly production: boolean;
  /** Absent: no limits. */
  readonly rateLimits?: RateLimits | undefined;
  readonly documents: Documents;
  /** Absent: clients send what they like. */
  readonly listed?: PersistedDocuments | undefined;
  /** Of one event. */
  readonly maxResponseBytes: number;
  readonly limits?: Partial<SubscriptionLimits> | undefined;
}

/** One client. */
interface Client {
  readonly socket: WebSocket;
  /** Where it comes from. */
  readonly address: string;
  /** Aborts when the connection has ended. */
  readonly signal: AbortSignal;
  readonly end: (why: Ending) => void;
  identity?: Identity;
}

type Connection = Connected<Record<string, unknown> | undefined, Client>;

/** Serves subscriptions on the same port, until the application closes. */
export function serveSubscriptions(app: FastifyInstance, endpoint: string, options: SubscriptionOptions): void {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (protocols) => handleProtocols(protocols),
    maxPayload: limits.maxMessageBytes,
  });
  const protocol = protocolServer(options, limits);
  const { rateLimits, log } = options;
  const addressOfRequest = addressOf(options);
  let closing = false;
  app.server.on('upgrade', async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {}); // whoever asked may be gone already
    if (request.url?.split('?')[0] !== endpoint) return refuse(socket, '404 Not Found');
    const address = addressOfRequest(request);
    try {
      await rateLimits?.admit(address);
    } catch {
      return refuse(socket, '429 Too Many Requests');
    }
    if (closing || sockets.clients.size >= limits.maxConnections) return refuse(socket, '503 Service Unavailable');
    sockets.handleUpgrade(request, socket, head, (client) => connect(client, address, { protocol, limits, log }));
  });
  app.addHook('preClose', async () => {
    closing = true;
    await drain(sockets);
  });
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Not `complete`: a client that is told of the end of the connection alone subscribes again, elsewhere. */
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
  // A client that reads nothing would not read this either.
  const timer = setTimeout(() => socket.terminate(), graceMs);
  socket.once('close', () => clearTimeout(timer));
}

/** Between a socket and the protocol. */
function connect(
  socket: WebSocket,
  address: string,
  {
    protocol,
    limits: { maxBufferedBytes, pingEveryMs, goodbyeMs },
    log,
  }: { protocol: ReturnType<typeof protocolServer>; limits: SubscriptionLimits; log: Log },
): void {
  // Of the network, or a frame that is none: the socket closes by itself, with a code that says so.
  socket.on('error', (error) => log.debug({ err: error }, 'a WebSocket failed'));
  const stopPinging = keepAlive(socket, pingEveryMs);
  const gone = new AbortController();
  setMaxListeners(0, gone.signal); // every load of every subscription may listen
  const client: Client = { socket, address, signal: gone.signal, end: (why) => end(socket, why, goodbyeMs) };
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Settled when the network has taken it: so the next event is asked for at the client's pace.
      send: (text) =>
        new Promise((resolve, reject) => {
          if (socket.readyState !== socket.OPEN) return resolve();
          if (socket.bufferedAmount > maxBufferedBytes) {
            client.end(CLOSE.tooSlow);
            return resolve();
          }
          socket.send(text, (error) => (error ? reject(error) : resolve()));
        }),
      close: (code = CLOSE.failed[0], reason = '') => client.end([code, reason]),
      onMessage: (receive) =>
        socket.on('message', (data) => {
          receive(String(data)).catch((error: unknown) => {
            if (socket.readyState !== socket.OPEN) return; // what was under way had nowhere to go
            log.error({ err: error }, 'a message of a WebSocket could not be handled');
            client.end(CLOSE.failed);
          });
        }),
    },
    client,
  );
  socket.once('close', (code, reason) => {
    stopPinging();
    gone.abort();
    closed(code, String(reason)).catch((error: unknown) => log.error({ err: error }, 'a subscription did not end'));
  });
}

/** @returns what stops it */
function keepAlive(socket: WebSocket, everyMs: number): () => void {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    if (socket.readyState !== socket.OPEN) return;
    answered = false;
    socket.ping();
  }, everyMs);
  return () => clearInterval(timer);
}

function protocolServer(options: SubscriptionOptions, limits: SubscriptionLimits) {
  const { mask, maxResponseBytes } = options;
  const costOf = costsOf(options.schema);
  const told = (error: GraphQLError): GraphQLFormattedError => mask.format(formatted(error), error);
  return makeServer<Record<string, unknown> | undefined, Client>({
    connectionInitWaitTimeout: limits.initWaitMs,
    onConnect: (connection) => authenticate(connection, options),
    onSubscribe: async (connection, _, payload) => {
      try {
        return await accepted(connection, payload, { options, limits, costOf });
      } catch (error) {
        return [error instanceof GraphQLError ? error : new GraphQLError('failed', { originalError: error as Error })];
      }
    },
    onNext: (_connection, _id, _payload, _args, { data = null, errors }) => {
      if (!isWithin(data, maxResponseBytes))
        return { data: null, errors: [told(new ResponseTooLarge(maxResponseBytes))] };
      return errors && { data, errors: errors.map(told) };
    },
    onError: (_connection, _id, _payload, errors) => errors.map(told),
  });
}

/** As `toJSON`, without what is meant for HTTP. */
function formatted(error: GraphQLError): GraphQLFormattedError {
  const { http: _, ...extensions } = error.extensions;
  return { ...error.toJSON(), extensions };
}

async function authenticate(
  { connectionParams, extra }: Connection,
  { verifyToken, log }: SubscriptionOptions,
): Promise<boolean> {
  const token = tokenIn(connectionParams);
  if (token === undefined) return refused(extra, CLOSE.unauthorized);
  try {
    extra.identity = await verifyToken(token);
  } catch (error) {
    if (error instanceof GraphQLError && error.extensions['code'] === 'UNAUTHENTICATED') {
      return refused(extra, CLOSE.badToken);
    }
    log.warn({ err: error }, 'the token of a WebSocket could not be checked');
    return refused(extra, CLOSE.tryAgain);
  }
  endWithToken(extra, extra.identity.expiresAtMs);
  return true;
}

function refused({ end }: Client, why: Ending): false {
  end(why); // the code that `false` stands for comes too late
  return false;
}

function tokenIn(params: Record<string, unknown> | undefined): string | undefined {
  const { authorization, Authorization, token } = params ?? {};
  if (typeof token === 'string') return token;
  const header = authorization ?? Authorization;
  return typeof header === 'string' ? bearerToken(header) : undefined;
}

/** A timer holds 24 days at most; a token may last longer. */
function endWithToken({ socket, end }: Client, expiresAtMs: number): void {
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    const leftMs = expiresAtMs - Date.now();
    if (leftMs <= 0) end(CLOSE.tokenEnded);
    else timer = setTimeout(wait, Math.min(leftMs, DAY));
  };
  if (socket.readyState !== socket.OPEN) return;
  wait();
  socket.once('close', () => clearTimeout(timer));
}

/** What to run for a client's `subscribe`. @throws GraphQLError why not */
async function accepted(
  { subscriptions, extra }: Connection,
  { query, operationName, variables }: SubscribePayload,
  { options, limits, costOf }: { options: SubscriptionOptions; limits: SubscriptionLimits; costOf: CostOf },
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  const { schema, documents, listed, rateLimits, production } = options;
  await rateLimits?.admit(extra.address); // as over HTTP: also for what never becomes an operation
  if (Object.keys(subscriptions).length > limits.maxSubscriptions) {
    throw refusal('TOO_MANY_SUBSCRIPTIONS', `A connection carries at most ${limits.maxSubscriptions} subscriptions.`);
  }
  listed?.textOf({ documentId: undefined, query });
  const caller = callerOf({ userId: extra.identity?.userId }, '');
  const document = documents.read(schema, query, { caller, identity: extra.identity, hideSuggestions: production });
  if (Array.isArray(document)) return document;
  const operation = getOperationAST(document, operationName || null);
  if (!operation) throw refusal('OPERATION_RESOLUTION_FAILURE', 'operationName: expected the name of an operation');
  if (operation.operation !== 'subscription') {
    throw refusal('BAD_REQUEST', `A WebSocket carries subscriptions only: send this ${operation.operation} over HTTP.`);
  }
  const cost = costOf({ document, operation, variables: variables ?? undefined });
  requireAffordable(cost);
  await rateLimits?.spend(caller, cost);
  // What subscribing itself makes of bad variables has no code: it would pass for an error of ours.
  const definitions = operation.variableDefinitions ?? [];
  const read = getVariableValues(schema, definitions, variables ?? {}, {
    hideSuggestions: production,
    maxErrors: MAX_FAULTS,
  });
  if (read.errors !== undefined) return read.errors.map(badVariable);
  return {
    schema,
    document,
    operationName: operationName || null,
    variableValues: variables ?? null,
    contextValue: contextOf(extra, options, limits),
  };
}

function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}

function contextOf(
  { end, signal, identity }: Client,
  { cache, db }: SubscriptionOptions,
  { maxQueued }: SubscriptionLimits,
): SubscriptionContext {
  const { userId: viewerId, scopes } = identity as Identity; // nothing is subscribed to before the connection has one
  const tracer = new Tracer(false);
  const loadsOf = (direct: boolean) =>
    new Loads({ cache, db, viewer: viewerId, tracer, signal, ...(direct && { bypass: 'unapplied' }) });
  const context: SubscriptionContext = {
    requestId: randomUUID(),
    viewerId,
    scopes,
    db,
    tracer,
    snapshot: false,
    cost: 0,
    signal,
    loads: loadsOf(false),
    // Events of one subscription are answered one after the other, so none changes the loads of another.
    renew({ direct }) {
      context.loads = loadsOf(direct);
    },
    queue: () => new EventQueue({ maxItems: maxQueued, onFull: () => end(CLOSE.tooSlow) }),
  };
  return context;
}
