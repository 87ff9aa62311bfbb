/** A subscription over a WebSocket that begins again when the server ends it. */
import type { Client } from 'graphql-ws/client';
import { type Answer, ApiError, errorOf } from './api-error.js';

export const RETRY_MS = 1500;
/** The clock of this machine may be wrong, so no time that the server names is waited for longer. */
const MAX_RETRY_MS = 60_000;

/**
 * `faulty`: connected, but the last message has an error in place of its data. `lost`: no connection. `ended`: the
 * server ended the stream. All of them pass by themselves.
 */
export type ConnectionState = 'connecting' | 'live' | 'faulty' | 'lost' | 'ended';

export interface StreamSink<T> {
  next(value: T): void;
  /** Another token is needed: the stream is over. */
  refused(error: ApiError): void;
  /** @param error of `faulty`, and of `ended` where the server gave one */
  state(state: ConnectionState, error?: ApiError): void;
}

export class Stream<T> {
  readonly #client: Client;
  readonly #query: string;
  readonly #sink: StreamSink<T>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fault: ApiError | undefined;
  #leave = () => {};

  /** It begins at once. */
  constructor(client: Client, query: string, sink: StreamSink<T>) {
    this.#client = client;
    this.#query = query;
    this.#sink = sink;
    this.#begin();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#leave();
  }

  #begin(): void {
    let over = false;
    const ended = (error: ApiError | undefined) => over || this.#ended(error);
    const stopListening = this.#listen();
    this.#fault = undefined;
    const end = this.#client.subscribe<T>(
      { query: this.#query },
      {
        next: (answer) => over || this.#next(answer as Answer<T>),
        error: (error) => ended(errorOf(error)),
        complete: () => ended(this.#fault),
      },
    );
    this.#leave = () => {
      over = true;
      stopListening(); // the connection closes because nothing uses it
      end();
    };
  }

  #listen(): () => void {
    const { state } = this.#sink;
    const listening = [
      this.#client.on('connecting', (isRetry) => state(isRetry ? 'lost' : 'connecting')),
      this.#client.on('connected', () => state('live')),
      this.#client.on('closed', () => state('lost')),
    ];
    return () => {
      for (const stop of listening) stop();
    };
  }

  #next({ data, errors }: Answer<T>): void {
    const recovered = this.#fault !== undefined;
    const fault = errors?.[0] && new ApiError(errors[0]);
    this.#fault = fault;
    if (fault !== undefined) {
      if (fault.refused) this.#ended(fault);
      else this.#sink.state('faulty', fault);
      return;
    }
    if (recovered) this.#sink.state('live');
    if (data) this.#sink.next(data);
  }

  #ended(error: ApiError | undefined): void {
    this.close();
    if (error?.refused) {
      this.#sink.refused(error);
      return;
    }
    this.#timer = setTimeout(() => this.#begin(), waitMs(error));
    this.#sink.state('ended', error);
  }
}

function waitMs(error: ApiError | undefined): number {
  const leftMs = error?.resetAt === undefined ? 0 : Date.parse(error.resetAt) - Date.now();
  return Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, leftMs));
}
