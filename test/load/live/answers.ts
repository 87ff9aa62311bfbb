/** What a process of clients has been sent, each answer checked against the one before: no task may be older in it, or missing. */
import { performance } from 'node:perf_hooks';
import { type ClientReport, clockMs, type Receipt } from './protocol.js';

export interface Payload {
  readonly data?: unknown;
  readonly errors?: unknown;
}

export class Answers {
  /** By question: the versions of its tasks, and the whole answer. */
  readonly #versions: (ReadonlyMap<string, number> | undefined)[] = [];
  readonly #texts: string[] = [];
  #receipts: Receipt[] = [];
  #answers = 0;
  #problems = 0;
  #problem: string | undefined;
  #busySince = performance.eventLoopUtilization();

  receive(question: number, { data, errors }: Payload): void {
    const atMs = clockMs();
    this.#answers++;
    this.#texts[question] = textOf({ data, errors });
    if (errors !== undefined || !data) {
      this.problem(`an answer with errors: ${JSON.stringify({ data, errors }).slice(0, 300)}`);
      return;
    }
    const versions = versionsIn(data);
    const before = this.#versions[question] ?? versions;
    this.#versions[question] = versions;
    for (const [task, from] of before) {
      const to = versions.get(task);
      if (to === undefined) this.problem(`${task} is missing`);
      else if (to < from) this.problem(`${task} is older than before: version ${to} after ${from}`);
      else if (to > from) this.#receipts.push({ task, from, to, atMs });
    }
  }

  problem(what: string): void {
    this.#problems++;
    this.#problem ??= what;
  }

  /** The last one. */
  textAt(question: number): string | undefined {
    return this.#texts[question];
  }

  reset(): void {
    this.#receipts = [];
    this.#answers = 0;
    this.#busySince = performance.eventLoopUtilization();
  }

  report(): ClientReport {
    return {
      receipts: this.#receipts,
      answers: this.#answers,
      problems: this.#problems,
      problem: this.#problem,
      busy: performance.eventLoopUtilization(this.#busySince).utilization,
    };
  }
}

/** What two answers are compared by: a library adds fields of its own. */
export function textOf({ data, errors }: Payload): string {
  return JSON.stringify({ data, errors });
}

/** The versions of all tasks in it. */
export function versionsIn(data: unknown): ReadonlyMap<string, number> {
  const versions = new Map<string, number>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { id, version } = value as { id?: unknown; version?: unknown };
    if (typeof id === 'string' && typeof version === 'number') versions.set(id, version);
    Object.values(value).forEach(visit);
  };
  visit(data);
  return versions;
}
