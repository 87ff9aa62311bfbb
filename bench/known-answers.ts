/**
 * Which share of the reads of known keys finds its kept answer current, in the mixed load of workload.ts. A process reads an answer at rate r; all
 * processes together send writes that touch it at rate w. Both by Poisson's law, so the last of them was a read of this process with probability
 * r / (r + w).
 */
import { randomOf } from '../test/chaos/random.js';
import { TASKS_PER_PROJECT } from './dataset.js';
import { KNOWN_PROJECTS, MIXED } from './workload.js';

const TASKS = KNOWN_PROJECTS * TASKS_PER_PROJECT;
/** The share of writes that change the status, on which statistics depend. */
const STATUS_WRITES = 0.25;
const SEED = 1;

/** Probabilities by rank. */
function zipfWeights(size: number): number[] {
  const weights = Array.from({ length: size }, (_, rank) => 1 / (rank + 1));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** By project rank: its share of all writes, its tasks being as hot as chance makes them. */
function writesOfProjects(): number[] {
  const tasks = randomOf(SEED).shuffled(zipfWeights(TASKS));
  return Array.from({ length: KNOWN_PROJECTS }, (_, project) =>
    tasks.slice(project * TASKS_PER_PROJECT, (project + 1) * TASKS_PER_PROJECT).reduce((sum, share) => sum + share, 0),
  );
}

const PROJECTS = zipfWeights(KNOWN_PROJECTS);
const WRITES = writesOfProjects();

/** `readShare`: reads a second of one process over reads of all. */
export function currentShareOf(load: { writes: number; fresh: number; readShare: number }): number {
  const { writes, fresh, readShare } = load;
  const { Q1 = 0, Q2 = 0, Q3 = 0, write = 0 } = MIXED;
  const reads = ((1 - writes) * (1 - fresh) * readShare) / (1 - write);
  const current = (read: number, written: number) => (read === 0 ? 0 : read / (read + written));
  // Reads and writes of tasks follow the same law: the share is the same for each rank.
  const ofTasks = current(reads * Q1, writes);
  const ofProjects = (kind: number, writesThatTouch: number) =>
    PROJECTS.reduce(
      (sum, share, rank) => sum + share * current(reads * kind * share, writesThatTouch * (WRITES[rank] as number)),
      0,
    );
  return (Q1 * ofTasks + Q2 * ofProjects(Q2, writes) + Q3 * ofProjects(Q3, writes * STATUS_WRITES)) / (Q1 + Q2 + Q3);
}
