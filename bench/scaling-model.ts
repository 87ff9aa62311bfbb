/**
 * A simulation of many processes that read one log: how many log reads they send, and how busy the Redis server is that keeps it. Costs are
 * measured (scaling.ts); the rest is the queueing model below. The same seed gives the same figures.
 *
 * - Requests arrive by Poisson's law. A process is an event loop: one server with gated service. What is ready when an iteration begins is
 *   served in it, what arrives meanwhile waits for the next one. (Takagi, Analysis of Polling Systems, 1986: the gated discipline, here with one
 *   queue.) All work of an iteration that needs the log shares one log read, sent at its end, as TickBatch does.
 * - Redis is an event loop of the same kind: it answers at the end of an iteration. Each loop pays for waking up when it was idle.
 * - A kept answer is current if its process has read it since the last write that touches it: see known-answers.ts.
 * - Each process has a core. Postgres takes no time: it delays a response, but sends nothing to Redis.
 */
import { type Random, randomOf } from '../test/chaos/random.js';
import { Cores, EventQueue, Loop } from './event-loop.js';
import { currentShareOf } from './known-answers.js';
import { poissonGapMs } from './random.js';

/** `kept`: a kept answer; `changed`: executed since a write has touched what it shows; `fresh`: executed for the first time. */
export type RequestKind = 'kept' | 'changed' | 'fresh' | 'write';

/** All times in µs of CPU. */
export interface ModelCosts {
  readonly redis: {
    /** A log read in a busy server. */
    readonly logReadUs: number;
    /** Added when the server was idle. */
    readonly wakeUs: number;
    /** A record that a log read returns. */
    readonly recordUs: number;
    /** A second, for ticks of the relay: of the first process, and of each other one. */
    readonly idleUs: number;
    readonly idlePerProcessUs: number;
  };
  readonly process: {
    /** To send a log read and take its reply. */
    readonly logReadUs: number;
    readonly wakeUs: number;
    readonly recordUs: number;
  };
  readonly kinds: Readonly<
    Record<
      RequestKind,
      {
        /** Without log reads. */
        readonly processUs: number;
        /** One after the other, if none were shared; on average. */
        readonly logReads: number;
        /** Besides log reads: entries, tokens, fences, fills. */
        readonly redisUs: number;
      }
    >
  >;
}

export interface Scenario {
  readonly processes: number;
  /** Requests a second, all processes together. */
  readonly rate: number;
  /** Shares of all requests. */
  readonly writes: number;
  readonly fresh: number;
  /** Reads a second of one process over reads of all: 1 / processes if requests are spread evenly, 1 if all requests for a key meet one process. */
  readonly readShare: number;
  /** One way, µs. */
  readonly networkUs: number;
  /** Which process gets a request: the next one, as of the benchmark's client, or any. */
  readonly balancing: 'in turn' | 'random';
  /** Requests that arrive at once, on average: 1 where clients are independent. */
  readonly burst: number;
  /** That processes and Redis share. Absent: each has one. */
  readonly cores?: number;
  /** Redis answers at once, however much is asked of it: what it would have to do is counted, and delays nothing. */
  readonly unlimitedRedis?: boolean;
  readonly seconds: number;
  readonly seed: number;
}

export interface Prediction {
  readonly requests: number;
  readonly logReadsPerRequest: number;
  readonly logReadsPerSecond: number;
  /** Share of one core. */
  readonly redisBusy: number;
  /** The same of all work that is asked of Redis, done or not, without wake-ups. Above 1 one server cannot do it. */
  readonly redisDemand: number;
  readonly processBusy: number;
  readonly keptShare: number;
}

interface Request {
  readonly burstUs: number;
  /** Work of Redis besides log reads, which comes with each burst. */
  readonly redisUs: number;
  logReadsLeft: number;
}

export function simulate(scenario: Scenario, costs: ModelCosts): Prediction {
  const simulation = new Simulation(scenario, costs);
  simulation.run();
  return simulation.prediction();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #costs: ModelCosts;
  readonly #random: Random;
  readonly #events = new EventQueue();
  readonly #redis: Loop;
  readonly #processes: readonly ProcessModel[];
  readonly #currentShare: number;
  #requests = 0;
  #kept = 0;
  #logReads = 0;
  #redisUs = 0;
  #records = 0;
  #turn = 0;

  constructor(scenario: Scenario, costs: ModelCosts) {
    this.#scenario = scenario;
    this.#costs = costs;
    this.#random = randomOf(scenario.seed);
    this.#currentShare = currentShareOf(scenario);
    const [events, cores] = [this.#events, new Cores(scenario.cores ?? Number.POSITIVE_INFINITY)];
    this.#redis = new Loop({ events, cores, wakeUs: costs.redis.wakeUs });
    const server = {
      readLog: (one: ProcessModel, reply: (records: number) => void) => this.#logRead(one, reply),
      work: (us: number) => this.#work(us),
    };
    this.#processes = Array.from(
      { length: scenario.processes },
      () => new ProcessModel({ events, cores, costs: costs.process, server }),
    );
  }

  run(): void {
    this.#arriveLater();
    this.#events.run(this.#scenario.seconds * 1e6);
  }

  prediction(): Prediction {
    const { seconds, processes } = this.#scenario;
    const share = (us: number) => us / (seconds * 1e6);
    const { idleUs, idlePerProcessUs } = this.#costs.redis;
    const idle = (idleUs + idlePerProcessUs * (processes - 1)) * seconds;
    const busyUs = this.#processes.reduce((sum, { busyUs }) => sum + busyUs, 0);
    return {
      requests: this.#requests,
      logReadsPerRequest: this.#logReads / this.#requests,
      logReadsPerSecond: this.#logReads / seconds,
      redisBusy: share(this.#redis.busyUs + idle),
      redisDemand: share(this.#redisUs + idle),
      processBusy: share(busyUs / processes),
      keptShare: this.#kept / this.#requests,
    };
  }

  /** Bursts of a geometric size: after each request another one comes at once with the same probability. */
  #arriveLater(): void {
    const { rate, burst } = this.#scenario;
    this.#events.after(poissonGapMs(this.#random, rate / burst) * 1000, () => {
      do this.#send();
      while (this.#random.chance(1 - 1 / burst));
      this.#arriveLater();
    });
  }

  #send(): void {
    const { processes, networkUs, balancing } = this.#scenario;
    const kind = this.#kind();
    const { processUs, logReads, redisUs } = this.#costs.kinds[kind];
    const count = Math.floor(logReads) + (this.#random.chance(logReads % 1) ? 1 : 0);
    const index = balancing === 'in turn' ? this.#turn++ % processes : this.#random.integer(processes);
    const one = this.#processes[index] as ProcessModel;
    this.#requests++;
    if (kind === 'kept') this.#kept++;
    const bursts = count + 1;
    const request = { burstUs: processUs / bursts, redisUs: redisUs / bursts, logReadsLeft: count };
    this.#events.after(networkUs, () => one.begin(request));
    if (kind === 'write') this.#records++;
  }

  #kind(): RequestKind {
    const { writes, fresh } = this.#scenario;
    if (this.#random.chance(writes)) return 'write';
    if (this.#random.chance(fresh)) return 'fresh';
    return this.#random.chance(this.#currentShare) ? 'kept' : 'changed';
  }

  #work(us: number): void {
    if (us === 0) return;
    this.#addToRedis(us, () => {});
  }

  #logRead(one: ProcessModel, reply: (records: number) => void): void {
    const { networkUs } = this.#scenario;
    const { logReadUs, recordUs } = this.#costs.redis;
    this.#logReads++;
    this.#events.after(networkUs, () => {
      const records = this.#records - one.seen;
      one.seen = this.#records;
      const us = logReadUs + recordUs * records;
      this.#addToRedis(us, () => this.#events.after(networkUs, () => reply(records)));
    });
  }

  #addToRedis(us: number, done: () => void): void {
    this.#redisUs += us;
    if (this.#scenario.unlimitedRedis) done();
    else this.#redis.add({ us, done });
  }
}

/** Redis, as a process sees it. */
interface ServerModel {
  readLog(one: ProcessModel, reply: (records: number) => void): void;
  work(us: number): void;
}

class ProcessModel {
  /** Records of the log that it has processed. */
  seen = 0;
  readonly #loop: Loop;
  readonly #costs: ModelCosts['process'];
  readonly #server: ServerModel;
  #waiting: Request[] = [];

  constructor(options: {
    events: EventQueue;
    cores: Cores;
    costs: ModelCosts['process'];
    server: ServerModel;
  }) {
    const { events, cores, costs, server } = options;
    this.#loop = new Loop({ events, cores, wakeUs: costs.wakeUs, afterIteration: () => this.#endIteration() });
    this.#costs = costs;
    this.#server = server;
  }

  get busyUs(): number {
    return this.#loop.busyUs;
  }

  begin(request: Request): void {
    this.#loop.add({ us: request.burstUs, done: () => this.#next(request) });
  }

  #next(request: Request): void {
    this.#server.work(request.redisUs);
    if (request.logReadsLeft === 0) return;
    request.logReadsLeft--;
    this.#waiting.push(request);
  }

  #endIteration(): void {
    if (this.#waiting.length === 0) return;
    const requests = this.#waiting;
    this.#waiting = [];
    this.#server.readLog(this, (records) => {
      const us = requests.reduce((sum, { burstUs }) => sum + burstUs, 0);
      this.#loop.add({
        us: this.#costs.logReadUs + this.#costs.recordUs * records + us,
        done: () => {
          for (const request of requests) this.#next(request);
        },
      });
    });
  }
}
