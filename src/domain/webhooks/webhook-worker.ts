/**
 * Delivers the messages of webhooks, in every process that serves: task events become deliveries (webhook-fan-out.ts),
 * and due deliveries are sent (webhook-queue.ts). Everything that must outlive the process is in Postgres.
 */
import { and, eq, sql } from 'drizzle-orm';
import type { WebhookId } from '../../db/ids.js';
import type { Sql, Transactor } from '../../engine/postgres/index.js';
import type { WebhookOutcome } from '../../platform/metrics.js';
import { SECOND } from '../../std/time.js';
import { webhooks } from './webhook.table.js';
import { WebhookTrim } from './webhook.trim.js';
import { WebhookFanOut } from './webhook-fan-out.js';
import { type Attempt, delayMs, recordFailure, recordSuccess, release, takeDue } from './webhook-queue.js';
import { isDelivered, sendMessage } from './webhook-request.js';
import { signedHeaders } from './webhook-signature.js';

/** Time from the end of one run to the next. */
const RUN_EVERY_MS = SECOND;
/** Attempts of this process at once. */
const MAX_ATTEMPTS = 50;
/** Steps of the fan-out in one run. The deliveries that they made are sent before the next. */
const MAX_STEPS = 20;

export interface WebhookWorkerOptions {
  /** A connection that no request waits for. */
  readonly backgroundSql: () => Sql;
  readonly transactor: Pick<Transactor, 'transact'>;
  readonly log: { warn(details: object, message: string): void; info(details: object, message: string): void };
  /** Whether messages may go to addresses of private networks and of this machine. */
  readonly allowPrivate: boolean;
  /** Named to receivers. */
  readonly userAgent: string;
  readonly onOutcome?: (outcome: WebhookOutcome) => void;
  /** 0 to 1. Default: `Math.random`. */
  readonly random?: () => number;
}

export class WebhookWorker {
  readonly #options: WebhookWorkerOptions;
  readonly #fanOut: WebhookFanOut;
  readonly #trim = new WebhookTrim();
  readonly #stopped = new AbortController();
  readonly #sending = new Map<Attempt, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #failing = false;

  constructor(options: WebhookWorkerOptions) {
    this.#options = options;
    this.#fanOut = new WebhookFanOut({ sql: options.backgroundSql, log: options.log });
  }

  start(): void {
    this.#timer = setTimeout(() => this.#wake(), RUN_EVERY_MS).unref();
  }

  /** Gives up the attempts under way; other processes take them at once. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the server is stopping'));
    clearTimeout(this.#timer);
    await this.#running;
    await Promise.all(this.#sending.values());
  }

  /** Runs until nothing is due and no attempt is under way. */
  async settle(): Promise<void> {
    do {
      await this.#run();
      await Promise.all(this.#sending.values());
    } while (await this.#takeAndSend());
  }

  /** Also when an attempt has ended: the next message of its task may be due. */
  #wake(): void {
    if (this.#stopped.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#again = true;
    this.#running ??= this.#runWhileWanted();
  }

  async #runWhileWanted(): Promise<void> {
    while (this.#again && !this.#stopped.signal.aborted) {
      this.#again = false;
      try {
        await this.#run();
        if (this.#failing) this.#options.log.info({}, 'webhooks are served again');
        this.#failing = false;
      } catch (error) {
        if (!this.#failing) this.#options.log.warn({ err: error }, 'webhooks cannot be served now');
        this.#failing = true;
      }
    }
    this.#running = undefined;
    if (!this.#stopped.signal.aborted) this.start();
  }

  async #run(): Promise<void> {
    try {
      for (let step = 0; step < MAX_STEPS && (await this.#fanOut.step()); step++);
    } finally {
      await this.#takeAndSend(); // whatever keeps events from becoming deliveries
    }
    await this.#trim.step(this.#options.backgroundSql());
  }

  /** @returns whether anything was due */
  async #takeAndSend(): Promise<boolean> {
    const free = MAX_ATTEMPTS - this.#sending.size;
    if (free === 0 || this.#stopped.signal.aborted) return false;
    const taken = await takeDue(this.#options.backgroundSql(), free, this.#busy());
    for (const attempt of taken) {
      const sending = this.#attempt(attempt).finally(() => {
        this.#sending.delete(attempt);
        if (this.#timer !== undefined) this.#wake();
      });
      this.#sending.set(attempt, sending);
    }
    return taken.length > 0;
  }

  #busy(): Map<WebhookId, number> {
    const busy = new Map<WebhookId, number>();
    for (const { webhookId } of this.#sending.keys()) busy.set(webhookId, (busy.get(webhookId) ?? 0) + 1);
    return busy;
  }

  /** Never rejects: an attempt whose end cannot be recorded is made again when its lease has ended. */
  async #attempt(attempt: Attempt): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#send(attempt);
    } catch (error) {
      if (!this.#stopped.signal.aborted) log.warn({ err: error, delivery: attempt.id }, 'a delivery was interrupted');
      else await release(this.#options.backgroundSql(), [attempt]).catch(() => {});
    }
  }

  async #send(attempt: Attempt): Promise<void> {
    const { allowPrivate, userAgent, random = Math.random, onOutcome = () => {} } = this.#options;
    const { url, body } = attempt;
    const headers = {
      'content-type': 'application/json',
      'user-agent': userAgent,
      ...signedHeaders(attempt, Date.now()),
    };
    const response = await sendMessage({ url, headers, body, allowPrivate, signal: this.#stopped.signal });
    const connection = this.#options.backgroundSql();
    if (isDelivered(response)) {
      if (!(await recordSuccess(connection, attempt, response))) return;
      this.#trim.finished(attempt.webhookId);
      onOutcome('delivered');
      return;
    }
    const waitMs = delayMs(attempt.number, { random: random(), retryAfterMs: response.retryAfterMs });
    const failure = await recordFailure(connection, attempt, { ...response, waitMs });
    if (failure === undefined) return;
    if (failure.state === 'FAILED') this.#trim.finished(attempt.webhookId);
    onOutcome(failure.state === 'FAILED' ? 'failed' : 'retried');
    if (failure.tooLong) await this.#disable(attempt.webhookId);
  }

  async #disable(id: WebhookId): Promise<void> {
    const { value } = await this.#options.transactor.transact((tx) =>
      tx
        .update(webhooks)
        .set({ enabled: false, disabledReason: 'FAILURES', disabledAt: sql`now()` })
        .where(and(eq(webhooks.id, id), webhooks.enabled))
        .returning({ projectId: webhooks.projectId }),
    );
    const [disabled] = value;
    if (disabled === undefined) return; // by another attempt
    this.#options.log.warn(
      { webhook: id, project: disabled.projectId },
      'a webhook was disabled: it failed for a week',
    );
  }
}
