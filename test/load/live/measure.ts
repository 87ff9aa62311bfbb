/**
 * Live queries under load: what a write costs the servers, what a live query takes of their memory, and how long after a write was
 * acknowledged each client has it. Every answer is checked, and at the end each client's last one is compared with a POST.
 */
import { cpus } from 'node:os';
import type { Reaper } from '../../chaos/reaper.js';
import { sleep } from '../../chaos/wait.js';
import type { Check } from '../checks.js';
import { ClientProcess } from './client-process.js';
import type { LiveData } from './data.js';
import { type LiveOptions, QUERIES_PER_CONNECTION } from './options.js';
import type { ClientConnection, ClientKind, ClientReport } from './protocol.js';
import { connectionsOf } from './questions.js';
import { type Delays, delaysOf } from './receipts.js';
import { type LiveServers, usageOf } from './servers.js';
import { Writer, type Written } from './writer.js';

export interface Measured {
  readonly name: string;
  readonly clients: number;
  /** Live, or polled once a second. */
  readonly queries: number;
  readonly writes: number;
  readonly seconds: number;
  /** CPU of the servers: all of it, and in as long a time without clients, and without writes. */
  readonly cpuMs: number;
  readonly cpuOfWritesMs: number;
  readonly cpuOfQuietMs: number;
  /** Added by connecting, and by all live queries with their first answers. */
  readonly connectionBytes: number;
  readonly queryBytes: number;
  readonly delays: Delays;
  /** Shares of time: the process of the clients, and both cores. */
  readonly clientsBusy: number;
  readonly machineBusy: number;
}

interface Context {
  readonly name: string;
  readonly servers: LiveServers;
  readonly data: LiveData;
  readonly options: LiveOptions;
  readonly reaper: Reaper;
  readonly check: Check;
}

/** What a measurement without clients takes of the time of one with them. */
const WITHOUT_CLIENTS = 0.5;
const QUIET = 0.5;
const WARM_UP_S = 2;
/** For the end of all connections. */
const SETTLE_S = 2;

/** Of one kind of servers: with live queries, without clients, and then, with `polling`, with pollers. */
export async function measureServers(given: Context & { readonly polling: boolean }): Promise<Measured[]> {
  const { servers, data, options } = given;
  const writer = new Writer(servers, data, options);
  const context = { ...given, writer };
  const urls = servers.processes.map(({ url }) => url);
  const connections = connectionsOf({ data, options, tokens: servers.tokens, urls });
  await writer.writeFor(Math.min(WARM_UP_S, options.seconds));
  const live = await measureClients(context, 'live', connections);
  await sleep(1000 * Math.min(SETTLE_S, options.seconds));
  // Now, since before the code was not yet compiled.
  const alone = await cpuDuring(servers, () => writer.writeFor(options.seconds * WITHOUT_CLIENTS));
  const polled = given.polling && (await measureClients(context, 'polling', connections.slice(0, options.pollers)));
  return [live, ...(polled ? [polled] : [])].map((one) => ({
    ...one,
    cpuOfWritesMs: (alone.cpuMs / alone.seconds) * one.seconds,
  }));
}

type MeasuredClients = Omit<Measured, 'cpuOfWritesMs'>;

async function measureClients(
  context: Context & { readonly writer: Writer },
  kind: ClientKind,
  connections: readonly ClientConnection[],
): Promise<MeasuredClients> {
  const { data, options } = context;
  const clients = ClientProcess.start(context.reaper);
  try {
    const name = kind === 'live' ? context.name : `${context.name}, polled`;
    const queries = connections.length * QUERIES_PER_CONNECTION;
    const added = await begin(clients, context.servers, () => clients.connect(kind, connections));
    const quiet = await cpuDuring(context.servers, () => sleep(1000 * options.seconds * QUIET));
    const { during, clientsBusy, machineBusy } = await writeBeside(clients, context);
    const compared = await clients.compare();
    const report = await clients.report();
    checkAll({ name, written: during.result, report, compared, queries, check: context.check });
    return {
      name,
      clients: connections.length,
      queries,
      writes: during.result.count,
      seconds: during.seconds,
      cpuMs: during.cpuMs,
      cpuOfQuietMs: (quiet.cpuMs / quiet.seconds) * during.seconds,
      ...added,
      delays: delaysOf(report.receipts, during.result.acknowledged, hotTaskOf(data)),
      clientsBusy,
      machineBusy,
    };
  } finally {
    await clients.stop();
  }
}

/** The memory that connecting adds, and then all first answers. */
async function begin(
  clients: ClientProcess,
  servers: LiveServers,
  connect: () => Promise<void>,
): Promise<Pick<Measured, 'connectionBytes' | 'queryBytes'>> {
  const before = await usageOf(servers);
  await connect();
  const connected = await usageOf(servers);
  await clients.begin();
  const begun = await usageOf(servers);
  return {
    connectionBytes: connected.memoryBytes - before.memoryBytes,
    queryBytes: begun.memoryBytes - connected.memoryBytes,
  };
}

async function writeBeside(
  clients: ClientProcess,
  { servers, writer, options }: Context & { readonly writer: Writer },
) {
  await clients.reset();
  const before = machineTimes();
  const during = await cpuDuring(servers, () => writer.writeFor(options.seconds));
  const machineBusy = busyShare(before, machineTimes());
  const { busy: clientsBusy } = await clients.report();
  return { during, clientsBusy, machineBusy };
}

const hotTaskOf = ({ tasks }: LiveData) => (tasks.at(-1) as LiveData['tasks'][number]).id;

function checkAll({
  name,
  written,
  report,
  compared,
  queries,
  check,
}: {
  name: string;
  written: Written;
  report: ClientReport;
  compared: { different: number; example: string | undefined };
  queries: number;
  check: Check;
}): void {
  const because = (what: string | undefined) => (what === undefined ? '' : `: ${what}`);
  check(
    `${name}: all ${written.count + written.errors} writes succeed${because(written.error)}`,
    written.errors === 0 && written.count > 0,
  );
  check(
    `${name}: no answer is older than the one before, or has errors, and no connection ends (${report.problems} of ` +
      `${report.answers} answers)${because(report.problem)}`,
    report.problems === 0 && report.receipts.length > 0,
  );
  check(
    `${name}: the last answer of each of ${queries} queries is that of a POST (${compared.different} are not)${because(compared.example)}`,
    compared.different === 0,
  );
}

async function cpuDuring<T>(
  servers: LiveServers,
  work: () => Promise<T>,
): Promise<{ cpuMs: number; seconds: number; result: T }> {
  const before = await usageOf(servers);
  const beganMs = performance.now();
  const result = await work();
  const seconds = (performance.now() - beganMs) / 1000;
  const after = await usageOf(servers);
  return { cpuMs: after.cpuMs - before.cpuMs, seconds, result };
}

interface MachineTimes {
  readonly idleMs: number;
  readonly allMs: number;
}

function machineTimes(): MachineTimes {
  const times = cpus().map((core) => core.times);
  return {
    idleMs: times.reduce((sum, { idle }) => sum + idle, 0),
    allMs: times.reduce((sum, one) => sum + Object.values(one).reduce((all, ms) => all + ms, 0), 0),
  };
}

function busyShare(before: MachineTimes, after: MachineTimes): number {
  return 1 - (after.idleMs - before.idleMs) / Math.max(1, after.allMs - before.allMs);
}
