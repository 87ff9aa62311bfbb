/** Metrics of requests to the API, for prom-client. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { Durations, type ReadFrom } from '../engine/cache/index.js';
import { showDurations } from '../engine/metrics/index.js';
import { cutText } from '../std/cut-text.js';

/** `kept`: a response that was made before. `known`: run without Apollo Server. `apollo`: parsed and run by it. */
export type AnsweredAs = 'kept' | 'known' | 'apollo';

/** `kept`: a response that was made before. Else where the values of the operation came from. */
export type AnsweredFrom = 'kept' | ReadFrom;

/**
 * Which limit a caller has reached: of points for a viewer, for a caller without a token, for an address, for new users
 * of an address; or of processing time.
 */
export const RATE_LIMIT_NAMES = ['viewer', 'anonymous', 'address', 'new-users', 'time'] as const;
export type RateLimitName = (typeof RATE_LIMIT_NAMES)[number];

export interface AnsweredRequest {
  /** As in its header x-request-id. */
  readonly id: string;
  /** The name that the client gave it. */
  readonly operation: string | undefined;
  /** Absent: not admitted. */
  readonly caller: string | undefined;
  readonly as: AnsweredAs;
  /** Of HTTP. */
  readonly status: number;
  /** From its arrival until its response is sent. */
  readonly ms: number;
  /** Absent: no operation ran. */
  readonly from: AnsweredFrom | undefined;
  /** Cached policies that were read and of which nothing was loaded. Each saved a statement, or more. */
  readonly policiesSaved: number;
}

export interface RequestMetrics {
  answered(request: AnsweredRequest): void;
  /** An error with this code is sent. */
  error(code: string): void;
  /** An error is sent because this limit is reached. */
  rateLimited(limit: RateLimitName): void;
}

/** Clients choose the names. Further ones, and long ones, are counted as OTHER, which is no name in GraphQL. */
const MAX_OPERATIONS = 100;
const MAX_NAME_CHARS = 64;
/** One caller can keep no name of the others out. */
const MAX_OPERATIONS_OF_CALLER = 40;
const OTHER = '(other)';
const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** @param codes of all errors: each has a sample from the start, so that its first increase is seen */
export function requestMetrics(registry: Registry, codes: Iterable<string>): RequestMetrics {
  const registers = [registry];
  const durations = new RequestDurations();
  showDurations(registry, {
    name: 'tasks_request_duration_seconds',
    help: 'Time from the arrival of a request to the API until its response is sent.',
    read: () => durations.all(),
  });
  const errors = new Counter({
    name: 'tasks_errors_total',
    help: 'Errors in responses, by code.',
    labelNames: ['code'],
    registers,
  });
  for (const code of codes) errors.inc({ code }, 0);
  const limited = new Counter({
    name: 'tasks_rate_limited_total',
    help: 'Requests and events refused because their caller has reached a limit, by limit.',
    labelNames: ['limit'],
    registers,
  });
  for (const limit of RATE_LIMIT_NAMES) limited.inc({ limit }, 0);
  const names = new OperationNames();
  return {
    answered: ({ operation, caller, as: answered, status, ms }) =>
      durations.of(names.shown(operation, caller), answered, status).observe(ms),
    error: (code) => errors.inc({ code }),
    rateLimited: (limit) => limited.inc({ limit }),
  };
}

/**
 * The library's own histogram takes longer to find the counts of its labels than a kept response takes to be found.
 */
class RequestDurations {
  /** By operation, then by how it was answered, then by status. */
  readonly #counts = new Map<string, Map<AnsweredAs, Map<number, Durations>>>();

  of(operation: string, answered: AnsweredAs, status: number): Durations {
    const known = this.#counts.get(operation)?.get(answered)?.get(status);
    if (known !== undefined) return known;
    const made = new Durations(BUCKETS_S);
    const ofOperation = this.#counts.get(operation) ?? new Map<AnsweredAs, Map<number, Durations>>();
    const ofAnswered = ofOperation.get(answered) ?? new Map<number, Durations>();
    this.#counts.set(operation, ofOperation.set(answered, ofAnswered.set(status, made)));
    return made;
  }

  *all() {
    for (const [operation, ofOperation] of this.#counts) {
      for (const [answered, ofAnswered] of ofOperation) {
        for (const [status, durations] of ofAnswered) yield [{ operation, answered, status }, durations] as const;
      }
    }
  }
}

/** A client's name of an operation, cut to 64 characters: for spans and log lines. */
export function cutName(name: string): string {
  return cutText(name, MAX_NAME_CHARS);
}

/** The names that are shown as they are. */
export class OperationNames {
  readonly #names = new Set(['']);
  /** How many each caller has brought. Bounded by the names. */
  readonly #brought = new Map<string, number>();

  shown(name = '', caller = ''): string {
    if (this.#names.has(name)) return name;
    const brought = this.#brought.get(caller) ?? 0;
    const full = this.#names.size > MAX_OPERATIONS || brought >= MAX_OPERATIONS_OF_CALLER;
    if (full || name.length > MAX_NAME_CHARS) return OTHER;
    this.#brought.set(caller, brought + 1);
    this.#names.add(name);
    return name;
  }
}

/** A gauge of 1 whose labels say what runs. */
export function buildInfo(registry: Registry, version: string): void {
  const gauge = new Gauge({
    name: 'tasks_build_info',
    help: 'The build that runs.',
    labelNames: ['version', 'node'],
    registers: [registry],
    aggregator: 'max',
  });
  gauge.set({ version, node: process.version }, 1);
}
