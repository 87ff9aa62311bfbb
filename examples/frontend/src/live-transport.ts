/**
 * What carries live queries: queries with `@live`, which the server answers again whenever their answer changes. The clients of graphql-ws
 * and of graphql-sse both are such a transport.
 */
import type { FormattedExecutionResult } from 'graphql';
import { createClient } from 'graphql-sse';
import { immutableJSONPatch, type JSONPatchDocument } from 'immutable-json-patch';
import type { ClientOptions } from './apollo.js';

export interface LiveRequest {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
}

export interface LiveSink {
  /** A whole answer, which replaces the one before. */
  next(answer: FormattedExecutionResult): void;
  /** The connection is lost for good, or the server refused the operation. */
  error(error: unknown): void;
  complete(): void;
}

export interface LiveTransport {
  /** @returns ends the live query */
  subscribe(request: LiveRequest, sink: LiveSink): () => void;
}

/** Whether the server is to answer it again and again. */
export function isLive({ definitions }: { readonly definitions: readonly Definition[] }): boolean {
  return definitions.some(({ directives }) => directives?.some(({ name }) => name.value === 'live'));
}

/** What documents of graphql-js and of urql have in common. */
interface Definition {
  readonly directives?: readonly { readonly name: { readonly value: string } }[] | undefined;
}

/**
 * Server-sent events, for those whom a proxy keeps from WebSockets. Each live query is a request of its own: over HTTP/1.1 a browser
 * opens no more than six to one server.
 */
export function openEvents({ url, token, fetch }: ClientOptions): LiveTransport & { dispose(): void } {
  const client = createClient({
    url,
    headers: () => ({ authorization: `Bearer ${token}` }),
    retryAttempts: Number.POSITIVE_INFINITY,
    retry: pauseBetween,
    ...(fetch && { fetchFn: fetch }),
  });
  return client as LiveTransport & typeof client; // it says of errors that they are instances of GraphQLError; they are JSON
}

/** Between attempts to connect: up to half a second, and up to half a minute after some. Not the same for all clients of a server that restarts. */
export async function pauseBetween(retries: number): Promise<void> {
  const ms = Math.min(30_000, 500 * 2 ** retries) * Math.random();
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** For `@live(patch: true)`: applies each JSON Patch to the answer before. A reconnected query begins with a whole answer. */
export function withPatches(transport: LiveTransport): LiveTransport {
  return {
    subscribe(request, sink) {
      let data: FormattedExecutionResult['data'];
      const next = ({ patch, revision: _, ...whole }: Revised) => {
        data = patch ? immutableJSONPatch(data, patch) : whole.data;
        sink.next({ ...whole, data: data ?? null });
      };
      return transport.subscribe(request, { ...sink, next });
    },
  };
}

/** One message of a live query with patches: an answer, or how the last one changes to it. */
interface Revised extends FormattedExecutionResult {
  readonly patch?: JSONPatchDocument;
  /** Counts the messages, from 1. */
  readonly revision?: number;
}
