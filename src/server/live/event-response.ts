/** A response of server-sent events: its headers, its events at the pace of the client, and its end. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import { SECOND } from '../../std/time.js';
import { clientGone } from '../http/request-lifetime.js';
import { SendQueue } from './send-queue.js';
import type { StalledClients, UnsentMessages } from './stalled-clients.js';

/** Time limit for the network to take the end of a response. Then the connection is destroyed. */
const GOODBYE_MS = SECOND;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform', // proxies must not compress it either
  'x-accel-buffering': 'no',
};
const COMPLETE = 'event: complete\ndata:\n\n';
/** Comments, which clients ignore. They keep proxies from closing a connection as idle. */
const HEARTBEAT = ':\n\n';

export interface EventResponseOptions {
  readonly limits: Pick<SubscriptionLimits, 'pingEveryMs'>;
  readonly stalled: StalledClients;
  /** The caller that is charged: see rate-limit.ts. */
  readonly caller: string;
}

export class EventResponse {
  readonly sendQueue: SendQueue;
  readonly #reply: FastifyReply;
  readonly #response: ServerResponse;
  readonly #pingEveryMs: number;
  readonly #gone = new AbortController();
  readonly #unsent: UnsentMessages;
  /** Settles the writes that the network has not taken. */
  readonly #writes = new Set<() => void>();
  #isOver = false;

  constructor(reply: FastifyReply, { limits, stalled, caller }: EventResponseOptions) {
    const response = reply.raw;
    this.#reply = reply;
    this.#response = response;
    this.#pingEveryMs = limits.pingEveryMs;
    const destroy = () => void response.destroy();
    this.#unsent = stalled.watch({ network: response.req.socket, caller: () => caller, end: destroy });
    this.sendQueue = new SendQueue({ room: this.#unsent, send: (event) => this.#write(event), failed: destroy });
    this.onClose(() => this.#closed());
  }

  /** Aborts when the connection has closed. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether it has ended, or is to be refused because it was ended before `begin`. */
  get isOver(): boolean {
    return this.#isOver;
  }

  onClose(listener: () => void): void {
    if (this.#response.destroyed) listener();
    else this.#response.once('close', listener);
  }

  /** Sends the headers. Fastify has no part in the response from here on. */
  begin(): void {
    this.#reply.hijack();
    for (const [name, value] of Object.entries(this.#reply.getHeaders())) {
      if (value !== undefined) this.#response.setHeader(name, value);
    }
    this.#response.shouldKeepAlive = false; // the connection ends with the response
    this.#response.writeHead(200, HEADERS);
    this.#response.write(HEARTBEAT); // sends the headers at once, so the client knows that it is connected
    const timer = setInterval(() => this.#beat(), this.#pingEveryMs).unref();
    this.onClose(() => clearInterval(timer));
  }

  /**
   * Resolves when the network has taken the event, or the response is over. Ends the response if there is no room for
   * the event. @throws the error of the connection
   */
  async sendEvent(event: string): Promise<void> {
    if (this.#unsent.hasForEvent(Buffer.byteLength(event))) await this.#write(event);
    else this.end();
  }

  /** Ends the response with `complete`: the operation has ended. */
  complete(): void {
    if (!this.#isOver && !this.#response.destroyed) this.#response.write(COMPLETE);
    this.end();
  }

  /** Ends the response without `complete`, so the client connects again. Before `begin` it sends nothing. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#response.headersSent) return; // an empty response would look like a stream that has ended
    const { socket } = this.#response.req;
    this.#response.end();
    const timer = setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
    this.onClose(() => clearTimeout(timer));
  }

  /** Resolves when the network has taken the event, or the response is over. @throws the error of the connection */
  #write(event: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isOver || this.#response.destroyed) return resolve();
      const taken = this.#unsent.add(Buffer.byteLength(event));
      const settle = (error?: Error | null) => {
        this.#writes.delete(settle);
        taken();
        if (error) reject(error);
        else resolve();
      };
      this.#writes.add(settle);
      this.#response.write(event, settle);
    });
  }

  /** Node does not call back for a write to a connection that is destroyed, or whose client has ended its side. */
  #closed(): void {
    for (const settle of this.#writes) settle();
    this.#gone.abort(clientGone());
  }

  #beat(): void {
    if (!this.#unsent.any && !this.#isOver) this.#response.write(HEARTBEAT);
  }
}
