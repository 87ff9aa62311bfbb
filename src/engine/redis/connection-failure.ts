/** Why there is no connection to Redis, in words. */
import type { EventEmitter } from 'node:events';

/** Some times the longest pause between two attempts to connect. */
const RECENT_MS = 5000;
/** The end of a connection, not its reason: the server may have given that on the same connection, or never. */
const ENDED =
  /(Connection is closed\.|Stream isn't writeable.*|Reached the max retries.*|(read|write) (ECONNRESET|EPIPE))$/;
const ENDED_EARLY =
  'the server closes connections before it answers: it may expect TLS, or a certificate of this client';
/** OpenSSL names its thread, code, function and source file, too. */
const OF_OPENSSL = /^.*SSL routines:[^:]*:([^:]+):.*$/s;

export class ConnectionFailure {
  #text: string | undefined;
  #atMs = 0;
  #connected = false;

  /** The last failure of a client and, for a Cluster, of its nodes, if it was recent: attempts are repeated. */
  get text(): string | undefined {
    return performance.now() - this.#atMs < RECENT_MS ? this.#text : undefined;
  }

  /** Commands report their own failures; these events tell of connections, passwords, certificates and Sentinels. */
  watch(client: EventEmitter): void {
    let ofSentinels: string | undefined;
    client.on('error', (error: unknown) => {
      const words = this.#wordsOf(error);
      // Its own end is that of the last connection, not why no Sentinel could be asked.
      const unreachable = words.startsWith('All sentinels are unreachable') && ofSentinels !== undefined;
      this.#note(unreachable ? `no Sentinel answers: ${ofSentinels}` : words);
    });
    client.on('sentinelError', (error: unknown) => {
      ofSentinels = this.#wordsOf(error);
    });
    client.on('node error', (error: unknown) => this.#note(this.#wordsOf(error)));
    client.on('ready', () => {
      this.#text = undefined;
      this.#connected = true;
    });
    client.on('close', () => {
      this.#connected = false;
    });
  }

  #wordsOf(error: unknown): string {
    const words = wordsOf(error).replace(OF_OPENSSL, 'TLS: $1');
    return this.#connected ? words : words.replace(ENDED, ENDED_EARLY);
  }

  #note(text: string): void {
    if (text.endsWith(ENDED_EARLY) && this.text?.endsWith(ENDED_EARLY) === false) return;
    this.#text = text;
    this.#atMs = performance.now();
  }
}

interface WrappingError {
  readonly message?: string;
  /** Node: one for each address of a name. */
  readonly errors?: readonly unknown[];
  /** ioredis: the reason that the last node of a Cluster gave. */
  readonly lastNodeError?: unknown;
}

function wordsOf(error: unknown): string {
  const { message = String(error), errors, lastNodeError } = (error ?? {}) as WrappingError;
  const [first] = errors ?? [];
  if (message === '' && first !== undefined) return wordsOf(first);
  return lastNodeError === undefined || lastNodeError === null ? message : `${message} ${wordsOf(lastNodeError)}`;
}
