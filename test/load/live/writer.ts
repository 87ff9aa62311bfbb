/** Renames tasks at a steady rate, whatever a write takes, and keeps when each version was acknowledged. */
import { sleep } from '../../chaos/wait.js';
import { Tally } from '../tally.js';
import type { LiveData } from './data.js';
import { type LiveOptions, TASKS_PER_TEAM, TEAM_SIZE } from './options.js';
import { clockMs } from './protocol.js';
import type { LiveServers } from './servers.js';

const UPDATE = `mutation ($input: UpdateTaskInput!) {
  updateTask(input: $input) { task { id version } errors { message } }
}`;

interface Updated {
  readonly updateTask: { readonly task: { readonly version: number } | null; readonly errors: readonly unknown[] };
}

/** When the commit of a version was acknowledged to its writer, by task. */
export type Acknowledgments = ReadonlyMap<string, ReadonlyMap<number, number>>;

export interface Written {
  readonly count: number;
  readonly errors: number;
  readonly error: string | undefined;
  readonly acknowledged: Acknowledgments;
}

export class Writer {
  readonly #servers: LiveServers;
  readonly #data: LiveData;
  readonly #options: LiveOptions;
  /** Goes on from one measurement to the next: titles differ. */
  #n = 0;

  constructor(servers: LiveServers, data: LiveData, options: LiveOptions) {
    this.#servers = servers;
    this.#data = data;
    this.#options = options;
  }

  /** Resolves when all writes that began within `seconds` are acknowledged. */
  async writeFor(seconds: number): Promise<Written> {
    const tally = new Tally();
    const acknowledged = new Map<string, Map<number, number>>();
    const writes: Promise<void>[] = [];
    const beganMs = performance.now();
    const count = Math.max(1, Math.round(seconds * this.#options.writesPerS));
    for (let i = 0; i < count; i++) {
      await sleep(Math.max(0, beganMs + (1000 * i) / this.#options.writesPerS - performance.now()));
      writes.push(this.#write(acknowledged, tally));
    }
    await sleep(Math.max(0, beganMs + 1000 * seconds - performance.now()));
    await Promise.all(writes);
    const { answers, errors } = tally.counts;
    return { count: answers, errors, error: tally.first, acknowledged };
  }

  async #write(acknowledged: Map<string, Map<number, number>>, tally: Tally): Promise<void> {
    const n = this.#n++;
    const { task, token } = this.#target(n);
    const { processes } = this.#servers;
    const beganMs = performance.now();
    try {
      const body = JSON.stringify({ query: UPDATE, variables: { input: { id: task, title: `Title ${n}` } } });
      const process = processes[n % processes.length] as (typeof processes)[number];
      const { updateTask } = await process.ask<Updated>(body, { authorization: `Bearer ${token}` });
      if (updateTask.task === null) throw new Error(JSON.stringify(updateTask.errors));
      const versions = acknowledged.get(task) ?? new Map<number, number>();
      acknowledged.set(task, versions.set(updateTask.task.version, clockMs()));
      tally.ok(performance.now() - beganMs);
    } catch (error) {
      tally.error(error);
    }
  }

  /** Every so many writes the hot task; else one of the others, all in turn, the teams in turn. */
  #target(n: number): { task: string; token: string } {
    const { tasks, users } = this.#data;
    const { tokens } = this.#servers;
    const at = <T>(all: readonly T[], i: number) => all[i] as T;
    if (n % Math.round(1 / this.#options.hotShare) === 0) {
      return { task: at(tasks, tasks.length - 1).id, token: at(tokens, 0) };
    }
    const teams = Math.ceil(users.length / TEAM_SIZE);
    const team = n % teams;
    const task = at(tasks, team * TASKS_PER_TEAM + (Math.floor(n / teams) % TASKS_PER_TEAM)).id;
    return { task, token: at(tokens, team * TEAM_SIZE) };
  }
}
