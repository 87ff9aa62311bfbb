/**
 * The load. Closed loop: so many clients, each of which waits for its answer. Open loop: arrivals that come by themselves, at a fixed rate and by
 * Poisson's law, and a latency that counts from when a request ought to have been sent, so that a server that stalls cannot slow the clock down.
 */
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { type Dispatcher, Pool } from 'undici';
import type { Random } from '../test/chaos/random.js';
import { poissonGapMs } from './random.js';
import type { Tally } from './tally.js';
import { type Dialect, type Operation, teamOf } from './workload.js';

/** Who waits longer gets an error. */
const ANSWER_WITHIN_MS = 20_000;
/** Of an open loop: what arrives while all are busy waits, and its latency shows it. */
const OPEN_CONNECTIONS = 256;
const MAX_WAITING = 10_000;

/** Asks the processes of one contender in turn. */
export class Client {
  readonly #pools: readonly Pool[];
  readonly #dialect: Dialect;
  readonly #headers: readonly (readonly string[])[];
  #turn = 0;

  constructor(options: {
    origins: readonly string[];
    dialect: Dialect;
    /** By team. */
    tokens: readonly string[];
    connections?: number;
  }) {
    const connections = options.connections ?? OPEN_CONNECTIONS;
    this.#pools = options.origins.map((origin) => new Pool(origin, { connections, pipelining: 1 }));
    this.#dialect = options.dialect;
    this.#headers = options.tokens.map((token) => [
      'content-type',
      'application/json',
      'authorization',
      `Bearer ${token}`,
    ]);
  }

  get processes(): number {
    return this.#pools.length;
  }

  /** The text of an answer without errors. @throws everything else */
  ask(operation: Operation, process = this.#turn++ % this.#pools.length): Promise<string> {
    return new Promise((resolve, reject) => {
      let status = 0;
      const chunks: Buffer[] = [];
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart() {},
        onResponseStart(_, code) {
          status = code;
        },
        onResponseData(_, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          const text = (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString();
          if (status === 200 && isWhole(text)) resolve(text);
          else reject(new Error(`HTTP ${status} to ${operation.kind}: ${text.slice(0, 300)}`));
        },
        onResponseError(_, error) {
          reject(error);
        },
      };
      (this.#pools[process] as Pool).dispatch(
        {
          path: '/graphql',
          method: 'POST',
          headers: this.#headers[teamOf(operation)] as string[],
          body: this.#dialect.body(operation),
          headersTimeout: ANSWER_WITHIN_MS,
          bodyTimeout: ANSWER_WITHIN_MS,
        },
        handler,
      );
    });
  }

  /** What an answer shows, in one form for all contenders. @throws as `ask` does */
  async read(operation: Operation, process?: number): Promise<unknown> {
    const text = await this.ask(operation, process);
    return this.#dialect.read(operation, (JSON.parse(text) as { data: unknown }).data);
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.destroy()));
  }
}

/** By the text alone, which is cheaper than to parse it: data, and no errors but the empty list of a mutation. */
function isWhole(text: string): boolean {
  return text.startsWith('{"data":{') && !text.includes('"errors":[{') && !text.startsWith('{"data":{"task":null');
}

export interface Load {
  readonly client: Client;
  readonly seconds: number;
  /** Undefined: there is nothing left to ask. */
  readonly next: () => Operation | undefined;
  readonly tally: Tally;
  /** Before a request is sent: what is returned looks at its answer. */
  readonly watch?: ((operation: Operation) => ((text: string) => void) | undefined) | undefined;
}

export interface LoadResult {
  readonly seconds: number;
  /** Of the generator's own event loop; near 1 it is the generator that was measured. */
  readonly busy: number;
  /** Requests that an open loop sent at once, since all of them were due, on average. */
  readonly burst: number;
}

export async function closedLoop(load: Load, clients: number): Promise<LoadResult> {
  const startedMs = performance.now();
  const busySince = performance.eventLoopUtilization();
  const untilMs = startedMs + load.seconds * 1000;
  const loop = async () => {
    while (performance.now() < untilMs) {
      const operation = load.next();
      if (operation === undefined) return;
      await one(load, operation, performance.now());
    }
  };
  await Promise.all(Array.from({ length: clients }, loop));
  return ended(startedMs, busySince);
}

export async function openLoop(load: Load, rate: number, random: Random): Promise<LoadResult> {
  const startedMs = performance.now();
  const busySince = performance.eventLoopUtilization();
  const untilMs = startedMs + load.seconds * 1000;
  const underWay = new Set<Promise<void>>();
  let [sent, bursts] = [0, 0];
  let dueMs = startedMs + poissonGapMs(random, rate);
  while (dueMs < untilMs) {
    if (dueMs <= performance.now()) bursts++;
    // A timer is a millisecond late: what has become due since is sent at once, and its time counts from when it was due.
    while (dueMs <= performance.now() && dueMs < untilMs) {
      const operation = load.next();
      if (operation === undefined) {
        await Promise.all(underWay);
        return ended(startedMs, busySince, sent / bursts);
      }
      sent++;
      if (underWay.size >= MAX_WAITING) {
        load.tally.failed(new Error(`${MAX_WAITING} requests wait: the server is too slow for this rate`));
      } else {
        const request = one(load, operation, dueMs);
        underWay.add(request);
        void request.finally(() => underWay.delete(request));
      }
      dueMs += poissonGapMs(random, rate);
    }
    const waitMs = dueMs - performance.now();
    await new Promise((resolve) => (waitMs > 1 ? setTimeout(resolve, waitMs) : setImmediate(resolve)));
  }
  await Promise.all(underWay);
  return ended(startedMs, busySince, sent / bursts);
}

async function one({ client, tally, watch }: Load, operation: Operation, sinceMs: number): Promise<void> {
  const look = watch?.(operation);
  try {
    const text = await client.ask(operation);
    tally.answered(performance.now() - sinceMs);
    if (operation.kind !== 'write') tally.reads++;
    look?.(text);
  } catch (error) {
    tally.failed(error);
  }
}

function ended(startedMs: number, busySince: EventLoopUtilization, burst = 1): LoadResult {
  return {
    burst,
    seconds: (performance.now() - startedMs) / 1000,
    busy: performance.eventLoopUtilization(busySince).utilization,
  };
}
