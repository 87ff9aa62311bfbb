/**
 * Ends clients that read too slowly, by one rule for WebSockets and server-sent events. While messages wait for the
 * network, a client is ended if the network has taken no byte for `stallMs`, or if one message has waited for
 * `maxWaitMs`. What a client sends meanwhile does not matter.
 */
import type { Duplex } from 'node:stream';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import { SMALL_BYTES, type UnreadResponses } from '../http/unread-responses.js';
import type { Room } from './send-queue.js';

/** How many checks fall into the shorter of the two limits. A client is ended up to two intervals late. */
const CHECKS = 4;
/** A message that has waited for this long was delayed by the network. */
const DELAYED_MS = 100;

export interface StalledClientsOptions extends Pick<SubscriptionLimits, 'stallMs' | 'maxWaitMs'> {
  readonly unread: UnreadResponses;
  /** A monotonic clock. Default: that of the process. */
  readonly nowMs?: () => number;
}

/** A connection whose messages are watched. */
export interface WatchedClient {
  readonly network: Duplex;
  /** The caller for which messages count as unread. */
  readonly caller: () => string;
  /** Ends the connection, because it takes messages too slowly. */
  readonly end: () => void;
}

export class StalledClients {
  readonly #options: StalledClientsOptions;
  readonly #nowMs: () => number;
  /** The connections on which messages wait. */
  readonly #waiting = new Set<UnsentMessages>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StalledClientsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** @returns where the connection counts its messages */
  watch(client: WatchedClient): UnsentMessages {
    const messages: UnsentMessages = new UnsentMessages(client, {
      unread: this.#options.unread,
      nowMs: this.#nowMs,
      changed: () => this.#changed(messages),
    });
    return messages;
  }

  /** Ends the clients that are too slow. A timer calls it while messages wait. */
  check(): void {
    for (const messages of this.#waiting) if (messages.isTooSlow(this.#options)) messages.client.end();
  }

  /** One timer for all connections, from the first message that waits until no message does. */
  #changed(messages: UnsentMessages): void {
    if (!messages.any) this.#waiting.delete(messages);
    else this.#waiting.add(messages);
    if (this.#waiting.size > 0) this.#timer ??= setInterval(() => this.#checkOrStop(), this.#everyMs).unref();
  }

  #checkOrStop(): void {
    this.check();
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get #everyMs(): number {
    return Math.min(this.#options.stallMs, this.#options.maxWaitMs) / CHECKS;
  }
}

interface Message {
  readonly sinceMs: number;
}

interface UnsentMessagesOptions {
  readonly unread: UnreadResponses;
  readonly nowMs: () => number;
  /** Called when the first message begins to wait, and when none waits any more. */
  readonly changed: () => void;
}

/** The messages of one connection that the network has not taken. */
export class UnsentMessages implements Room {
  readonly client: WatchedClient;
  readonly #options: UnsentMessagesOptions;
  /** The oldest first: the network takes them in order. */
  readonly #messages = new Set<Message>();
  /** Number of messages that the network has taken. */
  #taken = 0;
  /** What the check saw when it last found that the network had taken bytes. */
  #progress = { taken: 0, bytesLeft: 0, seenMs: 0 };
  /** When the network last took a message that it had delayed. */
  #delayedMs = Number.NEGATIVE_INFINITY;

  constructor(client: WatchedClient, options: UnsentMessagesOptions) {
    this.client = client;
    this.#options = options;
  }

  /** Whether messages wait for the network. */
  get any(): boolean {
    return this.#messages.size > 0;
  }

  /** Whether messages wait, or one was delayed within the last `ms`. */
  anyWithin(ms: number): boolean {
    return this.any || this.#options.nowMs() - this.#delayedMs < ms;
  }

  /** Counts a message that is being written. @returns a function to call when the network has taken it or has failed */
  add(bytes: number): () => void {
    const { unread, nowMs, changed } = this.#options;
    const message: Message = { sinceMs: nowMs() };
    const release = unread.hold(this.client.caller(), bytes);
    this.#messages.add(message);
    if (this.#messages.size === 1) {
      this.#progress = { taken: this.#taken, bytesLeft: bytesLeft(this.client.network), seenMs: message.sinceMs };
      changed();
    }
    return () => {
      if (!this.#messages.delete(message)) return;
      release();
      this.#taken++;
      if (nowMs() - message.sinceMs >= DELAYED_MS) this.#delayedMs = nowMs();
      if (!this.any) changed();
    };
  }

  has(bytes: number): boolean {
    return this.#options.unread.allows(this.client.caller(), bytes);
  }

  when(bytes: number, begin: () => void): () => void {
    return this.#options.unread.whenAllowed(this.client.caller(), bytes, begin);
  }

  /**
   * Whether there is room for a message that cannot wait. There always is for a small one if none waits on its
   * connection, so that no client is ended for what others do not read.
   */
  hasForEvent(bytes: number): boolean {
    return (bytes <= SMALL_BYTES && !this.any) || this.has(bytes);
  }

  isTooSlow({ stallMs, maxWaitMs }: Pick<SubscriptionLimits, 'stallMs' | 'maxWaitMs'>): boolean {
    const nowMs = this.#options.nowMs();
    const [oldest] = this.#messages;
    if (oldest === undefined) return false;
    const seen = { taken: this.#taken, bytesLeft: bytesLeft(this.client.network), seenMs: nowMs };
    const { taken, bytesLeft: before, seenMs } = this.#progress;
    if (seen.taken !== taken || seen.bytesLeft !== before) this.#progress = seen;
    else if (nowMs - seenMs >= stallMs) return true;
    return nowMs - oldest.sinceMs >= maxWaitMs;
  }
}

/**
 * Bytes of the current write that the kernel has not taken. `writableLength` and `bytesWritten` count a write as a
 * whole, and a large answer is one write. Node's own `socket.setTimeout` reads the same count, but a byte that the
 * client sends extends that time.
 */
function bytesLeft(network: Duplex): number {
  const handle: unknown = Reflect.get(network, '_handle');
  const isKnown = typeof handle === 'object' && handle !== null && 'writeQueueSize' in handle;
  return isKnown && typeof handle.writeQueueSize === 'number' ? handle.writeQueueSize : network.writableLength;
}
