/**
 * The metrics of several processes as those of one: counters and histograms are summed, gauges by the `aggregator` of
 * each, by default summed, too. What ended processes have counted stays in the sums, since Prometheus takes a smaller
 * sum for a restart and would count all of it again.
 */
import { AggregatorRegistry, type PrometheusContentType, type Registry } from 'prom-client';
import type { Samples } from './worker-messages.js';

const KEPT_TYPES: ReadonlySet<string> = new Set(['counter', 'histogram']);

export class GatheredMetrics {
  /** The last samples of each process that runs, by its number. */
  readonly #running = new Map<number, Samples>();
  /** Of ended processes: their sum, and what has not been added to it yet. */
  readonly #ended: Samples[] = [];
  #adding: Promise<void> = Promise.resolve();

  note(process: number, samples: Samples): void {
    this.#running.set(process, samples);
  }

  /** Keeps what the process has counted by its last samples. */
  end(process: number): void {
    const last = this.#running.get(process);
    if (last === undefined) return;
    this.#running.delete(process);
    this.#ended.push(last.filter(({ type }) => KEPT_TYPES.has(String(type))));
    this.#adding = this.#adding.then(() => this.#add());
  }

  /** One at a time, and without a moment in which `text` misses some of them. */
  async #add(): Promise<void> {
    const added = [...this.#ended];
    const sum = await aggregate(added).getMetricsAsJSON();
    this.#ended.splice(0, added.length, sum);
  }

  /** In Prometheus's text format. */
  text(): Promise<string> {
    return aggregate([...this.#ended, ...this.#running.values()]).metrics();
  }
}

function aggregate(samples: readonly Samples[]): Registry<PrometheusContentType> {
  return AggregatorRegistry.aggregate(samples as object[]) as Registry<PrometheusContentType>;
}
