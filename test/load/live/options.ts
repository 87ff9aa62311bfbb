/** The size of the part with live queries. Its variables are documented in ../run.ts. */

export interface LiveOptions {
  /** WebSockets, each of a viewer of its own, with five live queries. */
  readonly connections: number;
  readonly processes: number;
  readonly writesPerS: number;
  /** Of the writes: on the task that many read. */
  readonly hotShare: number;
  /** Connections with a live query of that task. */
  readonly hotReaders: number;
  /** Length of a measurement. */
  readonly seconds: number;
  /** Clients that poll the same queries once a second. */
  readonly pollers: number;
}

export const TEAM_SIZE = 20;
export const TASKS_PER_TEAM = 50;
export const QUERIES_PER_CONNECTION = 5;

/** @throws names the variable and what was expected */
export function liveOptions(env: NodeJS.ProcessEnv): LiveOptions {
  const numberOf = (name: string, otherwise: number, { most = Number.POSITIVE_INFINITY, least = 1 } = {}) => {
    const number = Number(env[name] || otherwise);
    if (!(number >= least && number <= most)) {
      throw new Error(`${name}: expected a number from ${least} to ${most}, got ${env[name]}`);
    }
    return number;
  };
  const connections = numberOf('LOAD_LIVE_CONNECTIONS', 2000);
  return {
    connections,
    processes: numberOf('LOAD_LIVE_PROCESSES', 2),
    writesPerS: numberOf('LOAD_LIVE_WRITES', 20),
    hotShare: numberOf('LOAD_LIVE_HOT_SHARE', 0.1, { least: 0.01, most: 1 }),
    hotReaders: numberOf('LOAD_LIVE_HOT_READERS', Math.ceil(connections / 10), { most: connections }),
    seconds: numberOf('LOAD_SECONDS', 20),
    pollers: numberOf('LOAD_LIVE_POLLERS', Math.ceil(connections / 10), { most: connections }),
  };
}
