/** Why there is no connection to Redis, in words. */
import type { EventEmitter } from 'node:events';

export class ConnectionFailure {
  #text: string | undefined;

  /** The last failure of a client and, for a Cluster, of its nodes. Undefined while there is a connection. */
  get text(): string | undefined {
    return this.#text;
  }

  /** Commands report their own failures; these events tell of connections, passwords, certificates and Sentinels. */
  watch(client: EventEmitter): void {
    let ofSentinels: string | undefined;
    client.on('error', (error: unknown) => {
      const words = wordsOf(error);
      // Its own end is that of the last connection, not why no Sentinel could be asked.
      const unreachable = words.startsWith('All sentinels are unreachable') && ofSentinels !== undefined;
      this.#text = unreachable ? `no Sentinel answers: ${ofSentinels}` : words;
    });
    client.on('sentinelError', (error: unknown) => {
      ofSentinels = wordsOf(error);
    });
    client.on('node error', (error: unknown) => {
      this.#text = wordsOf(error);
    });
    client.on('ready', () => {
      this.#text = undefined;
    });
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
