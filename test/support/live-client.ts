/** Clients of live queries over both transports, and the response to the same query by POST. */
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import type { UserId } from '../../src/db/ids.js';
import { eventually, headersFor } from './app.js';
import type { LiveApp } from './live.js';

export interface Operation {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  readonly operationName?: string;
}

/** What a client has been sent of one operation. */
export interface Received {
  /** Texts of the payloads. */
  readonly answers: string[];
  readonly errors: { message: string; extensions: Record<string, unknown> }[];
  readonly completed: boolean;
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

  subscribe(operation: Operation): Received & { complete(): void } {
    const id = String(++this.#last);
    const received: Received & { completed: boolean } = { answers: [], errors: [], completed: false };
    this.#received.set(id, received);
    this.#send({ type: 'subscribe', id, payload: operation });
    return Object.assign(received, { complete: () => this.#send({ type: 'complete', id }) });
  }

  close(): void {
    this.socket.terminate();
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

/** A response of server-sent events, read as it comes. */
export class EventSourceClient implements Received {
  readonly answers: string[] = [];
  readonly errors: Received['errors'] = [];
  heartbeats = 0;
  completed = false;
  ended = false;
  readonly response: Response;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
  }

  static async open(app: LiveApp, as: UserId, operation: Operation, token?: string): Promise<EventSourceClient> {
    const abort = new AbortController();
    const response = await fetch(app.url, {
      method: 'POST',
      headers: {
        accept: 'text/event-stream',
        'accept-encoding': 'gzip, br',
        'content-type': 'application/json',
        authorization: `Bearer ${token ?? (await app.tokenOf(as))}`,
      },
      body: JSON.stringify(operation),
      signal: abort.signal,
    });
    const client = new EventSourceClient(response, abort);
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) void client.#read();
    else client.errors.push(...((await response.json()) as { errors: Received['errors'] }).errors);
    return client;
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of this.response.body as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true });
        const messages = text.split('\n\n');
        text = messages.pop() ?? '';
        for (const message of messages) this.#receive(message);
      }
    } catch {
      // closed by the test
    }
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
