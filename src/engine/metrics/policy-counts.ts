/** What is counted for each policy. Policies are known from their declaration, others from their first call. */
import { Counter, type Registry } from 'prom-client';
import { type Cache, count, Durations, type OutcomeKind } from '../cache/index.js';
import { byLabel, showDurations } from './histograms.js';

/** Names of policies that have samples of their own: more than an application has, unless it makes them up. */
const MAX_NAMES = 1000;
/** No policy is named so. */
const OTHER = '(other)';

/** Exhaustive by its type. */
const OUTCOMES: Readonly<Record<OutcomeKind, true>> = {
  'near-hit': true,
  hit: true,
  stale: true,
  miss: true,
  joined: true,
  bypass: true,
  error: true,
};

/**
 * Counts in maps of its own, which are handed over when the metrics are read: the library's own counting would take
 * longer than most of the calls.
 */
export class PolicyCounts {
  readonly #cache: () => Pick<Cache, 'declared'>;
  readonly #calls = new Map<string, Map<string, number>>();
  readonly #loads = new Map<string, Durations>();
  readonly #violations: Counter;

  constructor(registry: Registry, cache: () => Pick<Cache, 'declared'>) {
    this.#cache = cache;
    this.#registerCalls(registry);
    showDurations(registry, {
      name: 'cache_load_duration_seconds',
      help: 'Time that a load took once it had its slot, by policy.',
      read: () => byLabel('name', this.#loadsWithZeros()),
    });
    const names = () => this.#names();
    this.#violations = new Counter({
      name: 'cache_violations_total',
      help: 'Hits proved old, by policy: any is a bug.',
      labelNames: ['name'],
      registers: [registry],
      collect() {
        for (const name of names()) this.inc({ name }, 0);
      },
    });
  }

  called(name: string, kind: OutcomeKind): void {
    const known = this.#calls.has(name) || this.#calls.size < MAX_NAMES;
    count(this.#calls, known ? name : OTHER, kind);
  }

  loaded(name: string, ms: number): void {
    this.#loadsOf(this.#loads.has(name) || this.#loads.size < MAX_NAMES ? name : OTHER).observe(ms);
  }

  violated(name: string): void {
    this.#violations.inc({ name: this.#names().has(name) ? name : OTHER });
  }

  #registerCalls(registry: Registry): void {
    const calls = this.#calls;
    const names = () => this.#names();
    new Counter({
      name: 'cache_calls_total',
      help: 'Cached calls, by policy and outcome.',
      labelNames: ['name', 'outcome'],
      registers: [registry],
      collect() {
        this.reset();
        for (const name of names()) {
          for (const outcome of Object.keys(OUTCOMES)) this.inc({ name, outcome }, calls.get(name)?.get(outcome) ?? 0);
        }
      },
    });
  }

  #names(): ReadonlySet<string> {
    return new Set([...this.#cache().declared, ...this.#calls.keys()]);
  }

  #loadsWithZeros(): ReadonlyMap<string, Durations> {
    for (const name of this.#names()) this.#loadsOf(name);
    return this.#loads;
  }

  #loadsOf(name: string): Durations {
    const known = this.#loads.get(name);
    if (known !== undefined) return known;
    const made = new Durations();
    this.#loads.set(name, made);
    return made;
  }
}
