/** Why there is no connection to Redis, in words. */
import type { EventEmitter } from 'node:events';

/** By a word for metrics: what the server or the network says, and that without addresses. The first that fits counts. */
const REASONS = [
  ['wrong-password', /WRONGPASS/, 'WRONGPASS: the user name or the password is wrong'],
  ['no-password', /NOAUTH/, 'NOAUTH: a password is required'],
  ['no-rights', /NOPERM/, 'NOPERM: the user lacks rights'],
  ['certificate', /certificate|altnames|CERT_/i, 'its certificate is not trusted'],
  ['no-sentinel', /sentinel/i, 'no Sentinel answers'],
  ['unknown-host', /ENOTFOUND|EAI_AGAIN/, 'its host name is not known'],
  ['refused', /ECONNREFUSED/, 'ECONNREFUSED: nothing listens there'],
  ['no-answer', /ETIMEDOUT|timed out|no answer in time/i, 'it does not answer in time'],
  ['failover', /READONLY|different servers/, 'the server is not the primary any more'],
  ['closed', /ECONNRESET|EPIPE|was closed/, 'the connection was closed'],
] as const;

export type FailureReason = (typeof REASONS)[number][0] | 'other';

export const FAILURE_REASONS: readonly FailureReason[] = [...REASONS.map(([reason]) => reason), 'other'];

/** @returns the reason, and words that everyone may read; none for `other` */
export function failureReason(text: string): { readonly reason: FailureReason; readonly shown?: string } {
  const known = REASONS.find(([, pattern]) => pattern.test(text));
  return known === undefined ? { reason: 'other' } : { reason: known[0], shown: known[2] };
}

/** What ioredis says before it asks all Sentinels once more; it reports no attempt to connect then. */
const SENTINELS_AGAIN = 'All sentinels are unreachable. Retrying';

/** Some times the longest pause between two attempts to connect. */
const RECENT_MS = 5000;

export class ConnectionFailure {
  readonly #onReconnect: (reason: FailureReason) => void;
  #text: string | undefined;
  #atMs = 0;

  /** @param onReconnect called when a connection is about to be opened again */
  constructor(onReconnect: (reason: FailureReason) => void = () => {}) {
    this.#onReconnect = onReconnect;
  }

  /** The last failure of a client and, for a Cluster, of its nodes, if it was recent: attempts are repeated. */
  get text(): string | undefined {
    return performance.now() - this.#atMs < RECENT_MS ? this.#text : undefined;
  }

  /** Commands report their own failures; these events tell of connections, passwords, certificates and Sentinels. */
  watch(client: EventEmitter): void {
    let ofSentinels: string | undefined;
    client.on('error', (error: unknown) => {
      const words = wordsOf(error);
      // Its own end is that of the last connection, not why no Sentinel could be asked.
      const unreachable = words.startsWith('All sentinels are unreachable') && ofSentinels !== undefined;
      this.note(unreachable ? `no Sentinel answers: ${ofSentinels}` : words);
      if (words.startsWith(SENTINELS_AGAIN)) this.reconnecting();
    });
    client.on('reconnecting', () => this.reconnecting());
    client.on('sentinelError', (error: unknown) => {
      ofSentinels = wordsOf(error);
    });
    client.on('node error', (error: unknown) => this.note(wordsOf(error)));
    client.on('ready', () => {
      this.#text = undefined;
    });
  }

  /** Without a recent failure the other end has closed the connection. */
  reconnecting(): void {
    this.#onReconnect(failureReason(this.text ?? 'the connection was closed').reason);
  }

  note(text: string): void {
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
