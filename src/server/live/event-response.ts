/** A response of server-sent events: its head, its events at the pace of the client, and its end. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import { SECOND } from '../../std/time.js';
import { clientGone } from '../http/request-lifetime.js';
import { Outbox } from './outbox.js';

/** Time after which a client is disconnected if the network takes nothing of what is written. */
const STALL_MS = 20 * SECOND;
/** Time limit for the network to take the end of a response. */
const GOODBYE_MS = SECOND;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform', // proxies must not compress it either
  'x-accel-buffering': 'no',
};
const COMPLETE = 'event: complete\ndata:\n\n';
/** Comments, which clients ignore. They keep proxies from closing a connection as idle. */
const HEARTBEAT = ':\n\n';

export class EventResponse {
  readonly outbox: Outbox;
  readonly #reply: FastifyReply;
  readonly #response: ServerResponse;
  readonly #pingEveryMs: number;
  readonly #gone = new AbortController();
  /** Messages that the network has not taken. */
  #unsent = 0;
  #isOver = false;

  constructor(reply: FastifyReply, { pingEveryMs }: Pick<SubscriptionLimits, 'pingEveryMs'>) {
    this.#reply = reply;
    this.#response = reply.raw;
    this.#pingEveryMs = pingEveryMs;
    this.outbox = new Outbox({ send: (event) => this.write(event), failed: () => this.#response.destroy() });
    this.onClose(() => this.#gone.abort(clientGone()));
  }

  /** Aborts when the connection has closed. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  onClose(listener: () => void): void {
    if (this.#response.destroyed) listener();
    else this.#response.once('close', listener);
  }

  /** From now on the response is no longer Fastify's. */
  begin(): void {
    this.#reply.hijack();
    for (const [name, value] of Object.entries(this.#reply.getHeaders())) {
      if (value !== undefined) this.#response.setHeader(name, value);
    }
    this.#response.writeHead(200, HEADERS);
    this.#response.write(HEARTBEAT); // with the headers, so that the client learns that it is connected
    const timer = setInterval(() => this.#beat(), this.#pingEveryMs).unref();
    this.onClose(() => clearInterval(timer));
  }

  /** Resolves when the network has taken the event, or the response is over. */
  write(event: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isOver || this.#response.destroyed) return resolve();
      const { socket } = this.#response.req;
      if (this.#unsent++ === 0) socket.setTimeout(STALL_MS); // Node closes a connection that makes no progress
      this.#response.write(event, (error) => {
        if (--this.#unsent === 0 && !this.#isOver) socket.setTimeout(0);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  complete(): void {
    if (!this.#isOver && !this.#response.destroyed) this.#response.write(COMPLETE);
    this.end();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { socket } = this.#response.req;
    this.#response.end(() => socket.end());
    const timer = setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
    this.onClose(() => clearTimeout(timer));
  }

  #beat(): void {
    if (this.#unsent === 0 && !this.#isOver) this.#response.write(HEARTBEAT);
  }
}
