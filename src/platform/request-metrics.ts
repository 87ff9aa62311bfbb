/** Metrics of requests to the API, for prom-client. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { SECOND } from '../std/time.js';

/** `kept`: a response that was made before. `known`: run without Apollo Server. `apollo`: parsed and run by it. */
export type AnsweredAs = 'kept' | 'known' | 'apollo';

export interface AnsweredRequest {
  /** As in its header x-request-id. */
  readonly id: string;
  /** The name that the client gave it. */
  readonly operation: string | undefined;
  readonly as: AnsweredAs;
  /** Of HTTP. */
  readonly status: number;
  /** From its arrival until its response is sent. */
  readonly ms: number;
}

export interface RequestMetrics {
  answered(request: AnsweredRequest): void;
  /** An error with this code is sent. */
  error(code: string): void;
}

/** Clients choose the names. Further ones are counted as `other`. */
const MAX_OPERATIONS = 100;
const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** @param codes of all errors: each has a sample from the start, so that its first increase is seen */
export function requestMetrics(registry: Registry, codes: Iterable<string>): RequestMetrics {
  const registers = [registry];
  const durations = new Histogram({
    name: 'tasks_request_duration_seconds',
    help: 'Time from the arrival of a request to the API until its response is sent.',
    labelNames: ['operation', 'answered', 'status'],
    buckets: BUCKETS_S,
    registers,
  });
  const errors = new Counter({
    name: 'tasks_errors_total',
    help: 'Errors in responses, by code.',
    labelNames: ['code'],
    registers,
  });
  for (const code of codes) errors.inc({ code }, 0);
  const operations = new Set<string>();
  const bounded = (name = ''): string => {
    if (operations.size < MAX_OPERATIONS) operations.add(name);
    return operations.has(name) ? name : 'other';
  };
  return {
    answered: ({ operation, as: answered, status, ms }) =>
      durations.observe({ operation: bounded(operation), answered, status }, ms / SECOND),
    error: (code) => errors.inc({ code }),
  };
}

/** A gauge of 1 whose labels say what runs. */
export function buildInfo(registry: Registry, version: string): void {
  const gauge = new Gauge({
    name: 'tasks_build_info',
    help: 'The build that runs.',
    labelNames: ['version', 'node'],
    registers: [registry],
  });
  gauge.set({ version, node: process.version }, 1);
}
