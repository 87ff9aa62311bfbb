/** The API as the console uses it: queries over HTTP, the activity of the cache over a WebSocket. */
import { type Client, createClient } from 'graphql-ws/client';
import { settings } from './settings.js';

const RETRY_MS = 1500;
/** Close codes of graphql-ws: Unauthorized and Forbidden. */
const REFUSALS: ReadonlySet<number> = new Set([4401, 4403]);

export interface ApiFault {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

/** The answer of an operation that ran, with or without errors. */
export interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly ApiFault[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export class ApiError extends Error {
  readonly code: string | undefined;

  constructor({ message, extensions }: ApiFault) {
    super(message);
    this.code = extensions?.code;
  }

  /** Another token is needed. */
  get refused(): boolean {
    return this.code === 'FORBIDDEN' || this.code === 'UNAUTHENTICATED';
  }
}

export type ConnectionState = 'connecting' | 'live' | 'lost';

export interface StreamSink<T> {
  next(value: T): void;
  error(error: ApiError): void;
  state(state: ConnectionState): void;
}

export class Api {
  readonly #token: string;
  readonly #socket: Client;
  #onState: (state: ConnectionState) => void = () => {};

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
      on: {
        connecting: (isRetry) => this.#onState(isRetry ? 'lost' : 'connecting'),
        connected: () => this.#onState('live'),
        closed: () => this.#onState('lost'),
      },
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

  /** One subscription at a time. @returns a function that ends it */
  subscribe<T>(query: string, sink: StreamSink<T>): () => void {
    this.#onState = (state) => sink.state(state);
    return this.#socket.subscribe<T>(
      { query },
      {
        next: ({ data, errors }) => {
          if (errors?.[0] !== undefined) sink.error(new ApiError(errors[0] as ApiFault));
          else if (data) sink.next(data);
        },
        error: (fault) => sink.error(errorOf(fault)),
        complete: () => sink.state('lost'),
      },
    );
  }
}

function isRefusal(fault: unknown): fault is CloseEvent {
  return fault instanceof CloseEvent && REFUSALS.has(fault.code);
}

/** graphql-ws reports errors of the operation, a closed connection or an exception. */
function errorOf(fault: unknown): ApiError {
  if (Array.isArray(fault) && fault[0] !== undefined) return new ApiError(fault[0] as ApiFault);
  if (isRefusal(fault)) {
    return new ApiError({ message: fault.reason || 'The token was refused.', extensions: { code: 'UNAUTHENTICATED' } });
  }
  if (fault instanceof CloseEvent) return new ApiError({ message: fault.reason || 'The connection was closed.' });
  return new ApiError({ message: fault instanceof Error ? fault.message : 'The connection failed.' });
}
