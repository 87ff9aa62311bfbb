/** The API as the console uses it: queries over HTTP, the activity of the cache over a WebSocket. */
import { type Client, createClient } from 'graphql-ws/client';
import { type Answer, ApiError, isRefusal } from './api-error.js';
import { settings } from './settings.js';
import { RETRY_MS, Stream, type StreamSink } from './stream.js';

export class Api {
  readonly #token: string;
  readonly #socket: Client;

  constructor(token: string) {
    this.#token = token;
    const url = new URL(settings.endpoint, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#socket = createClient({
      url: url.href,
      connectionParams: { authorization: `Bearer ${token}` },
      shouldRetry: (closed) => !isRefusal(closed),
      retryAttempts: Number.POSITIVE_INFINITY,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, RETRY_MS)),
    });
  }

  /** @throws ApiError if the operation has an error */
  async query<T>(query: string, variables: object = {}): Promise<T> {
    const { data, errors } = await this.run<T>({ query, variables });
    if (errors?.[0] !== undefined) throw new ApiError(errors[0]);
    return data as T;
  }

  /** @throws ApiError if there is no answer of the API */
  async run<T>(request: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer<T>> {
    let response: Response;
    try {
      response = await fetch(settings.endpoint, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/graphql-response+json, application/json;q=0.9',
          authorization: `Bearer ${this.#token}`,
          ...headers,
        },
        body: JSON.stringify(request),
      });
    } catch {
      throw new ApiError({ message: 'The server does not respond.' });
    }
    try {
      return (await response.json()) as Answer<T>;
    } catch {
      throw new ApiError({ message: `The server answered with status ${response.status}.` });
    }
  }

  /** @returns a function that ends it */
  subscribe<T>(query: string, sink: StreamSink<T>): () => void {
    const stream = new Stream(this.#socket, query, sink);
    return () => stream.close();
  }
}
