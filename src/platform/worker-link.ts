/** A worker's side of WORKERS: the channel to the process that started it. */
import cluster from 'node:cluster';
import { shared } from '../std/shared.js';
import { SECOND } from '../std/time.js';
import type { Samples, ToPrimary, ToWorker } from './worker-messages.js';

/** More than the primary waits for the samples of workers. */
const GATHER_MS = 5 * SECOND;

export class WorkerLink {
  /** Counts all workers that the primary has started, so that each has another one. */
  readonly number: number;
  #samples: () => Promise<Samples> = async () => [];
  #onGathered: (text: string) => void = () => {};

  /** The metrics of all workers, in Prometheus's text format. */
  readonly metricsText: () => Promise<string> = shared(() => this.#gather());

  /** @param onStop called when the primary stops this worker; `now`: without a delay */
  constructor(number: number, onStop: (now: boolean) => void) {
    this.number = number;
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'stop') onStop(message.now);
      else if (message.kind === 'gathered') this.#onGathered(message.text);
      else void this.sendSamples();
    });
  }

  /** @param samples reads the metrics of this process */
  readSamplesBy(samples: () => Promise<Samples>): void {
    this.#samples = samples;
  }

  /** Also called before this process ends, so that what it has counted last is not lost. */
  async sendSamples(): Promise<void> {
    const samples = await this.#samples().catch(() => undefined); // the primary takes the last ones that it has
    if (samples !== undefined) await send({ kind: 'samples', samples });
  }

  async #gather(): Promise<string> {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('the primary process has not sent the metrics')), GATHER_MS);
      this.#onGathered = (text) => {
        clearTimeout(late);
        resolve(text);
      };
      void send({ kind: 'gather' });
    });
  }
}

/** @returns undefined in a process that is no worker */
export function linkToPrimary(onStop: (now: boolean) => void): WorkerLink | undefined {
  return cluster.worker && new WorkerLink(cluster.worker.id, onStop);
}

/** Resolves when it is sent. Without a primary this process ends, so that failing is no matter. */
function send(message: ToPrimary): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
  });
}
