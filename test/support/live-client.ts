/** Clients of live queries over both transports, and the response to the same query by POST. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import type { UserId } from '../../src/db/ids.js';
import { eventually, headersFor } from './app.js';
import type { LiveApp } from './live.js';

export interface Operation {
  readonly query: string;
  readonly variables?: Record<string, unknown> | undefined;
  readonly operationName?: string;
}

/** What a client has been sent of one operation. */
export interface Received {
  /** Texts of the payloads. */
  readonly answers: string[];
  readonly errors: { message: string; extensions: Record<string, unknown> }[];
  readonly completed: boolean;
}

/** One operation of one client. */
export interface LiveSubscription extends Received {
  leave(): void;
}

export const TRANSPORTS = ['WebSocket', 'server-sent events'] as const;

/** Opens a connection of its own for the operation. */
export async function open(
  transport: (typeof TRANSPORTS)[number],
  app: LiveApp,
  { as, token, operation }: { as: UserId; token?: string; operation: Operation },
): Promise<LiveSubscription> {
  if (transport === 'server-sent events') return EventSourceClient.open(app, as, operation, token);
  const socket = await LiveSocket.open(app, as, token);
  const received = socket.subscribe(operation);
  return Object.assign(received, { leave: () => socket.close() });
}

/** The body of the response to a POST, and its status. */
export async function post(app: LiveApp, as: UserId, operation: Operation) {
  const headers = { ...(await headersFor({ as })), 'content-type': 'application/json' };
  const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify(operation) });
  return { status: response.status, text: await response.text() };
}

/** A WebSocket that notes messages as they are. */
export class LiveSocket {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #received = new Map<string, Received & { completed: boolean }>();
  #acknowledged = false;
  #last = 0;

  private constructor(app: LiveApp, token: string) {
    this.socket = new WebSocket(app.url.replace(/^http/, 'ws'), 'graphql-transport-ws');
    this.socket.on('open', () => this.#send({ type: 'connection_init', payload: { token } }));
    this.socket.on('message', (data) => this.#receive(String(data)));
    this.socket.on('error', () => {}); // `closed` has the code
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
  }

  static async open(app: LiveApp, as: UserId, token?: string): Promise<LiveSocket> {
    const client = new LiveSocket(app, token ?? (await app.tokenOf(as)));
    await eventually(() => expect(client.#acknowledged).toBe(true));
    return client;
  }

  subscribe(operation: Operation, id = String(++this.#last)): Received & { complete(): void } {
    const received: Received & { completed: boolean } = { answers: [], errors: [], completed: false };
    this.#received.set(id, received);
    this.#send({ type: 'subscribe', id, payload: operation });
    return Object.assign(received, { complete: () => this.#send({ type: 'complete', id }) });
  }

  close(): void {
    this.socket.terminate();
  }

  /** Reads nothing more until `resume`. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  #send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  #receive(text: string): void {
    const { type, id, payload } = JSON.parse(text);
    if (type === 'connection_ack') this.#acknowledged = true;
    const received = this.#received.get(id);
    if (received === undefined) return;
    const head = `{"id":"${id}","type":"next","payload":`;
    if (type === 'next') received.answers.push(text.startsWith(head) ? text.slice(head.length, -1) : text);
    else if (type === 'error') received.errors.push(...payload);
    else if (type === 'complete') received.completed = true;
  }
}

/** A response of server-sent events, read as it comes, on a connection of its own. */
export class EventSourceClient implements LiveSubscription {
  readonly answers: string[] = [];
  readonly errors: Received['errors'] = [];
  heartbeats = 0;
  completed = false;
  /** Whether the response has ended. */
  ended = false;
  readonly response: IncomingMessage;
  #resumed: Promise<void> | undefined;

  private constructor(response: IncomingMessage) {
    this.response = response;
  }

  static async open(app: LiveApp, as: UserId, operation: Operation, token?: string): Promise<EventSourceClient> {
    const request = httpRequest(app.url, {
      method: 'POST',
      agent: false,
      headers: {
        accept: 'text/event-stream',
        'accept-encoding': 'gzip, br',
        'content-type': 'application/json',
        authorization: `Bearer ${token ?? (await app.tokenOf(as))}`,
      },
    });
    request.on('error', () => {}); // closed by the test, or by the server
    request.end(JSON.stringify(operation));
    const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    const client = new EventSourceClient(response);
    void client.#read();
    return client;
  }

  get status(): number | undefined {
    return this.response.statusCode;
  }

  leave(): void {
    this.response.destroy();
    this.resume();
  }

  /** Reads nothing more until `resume`. */
  pause(): void {
    this.#resumed = new Promise((resolve) => {
      this.resume = resolve;
    });
  }

  resume: () => void = () => {};

  async #read(): Promise<void> {
    /** Those that hold no end of a message are not searched again: an answer of many MiB comes in hundreds. */
    let chunks: string[] = [];
    this.response.setEncoding('utf8');
    const isRefusal = this.response.headers['content-type'] !== 'text/event-stream; charset=utf-8';
    try {
      for await (const chunk of this.response) {
        await this.#resumed;
        chunks.push(chunk);
        if (isRefusal || !chunk.includes('\n')) continue;
        const messages = chunks.join('').split('\n\n');
        chunks = [messages.pop() ?? ''];
        for (const message of messages) this.#receive(message);
      }
    } catch {
      // closed by the test
    }
    if (isRefusal) this.errors.push(...JSON.parse(chunks.join('')).errors);
    this.ended = true;
  }

  #receive(message: string): void {
    if (message === ':') this.heartbeats++;
    else if (message === 'event: complete\ndata:') this.completed = true;
    else {
      const head = 'event: next\ndata: ';
      expect(message.startsWith(head)).toBe(true);
      this.answers.push(message.slice(head.length));
    }
  }
}
