/**
 * Measures another viewer's answers: a query that is cached, on open connections and on a new one each time, a list that is not cached, a write.
 * Each kind is sent at a fixed rate, well within the limits, whether or not earlier requests were answered. Latency counts from the moment a
 * request was planned for, so a stall of the server is in the latency of every request that was due meanwhile.
 */
import { Agent, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { World } from './world.js';

export type Kind = 'cached' | 'connecting' | 'uncached' | 'write';
const KINDS: readonly Kind[] = ['cached', 'connecting', 'uncached', 'write'];
/** Points of a minute at this pace: below 9 000 of 10 000. */
const EVERY_MS: Readonly<Record<Kind, number>> = { cached: 100, connecting: 400, uncached: 200, write: 400 };
const ANSWER_WITHIN_MS = 20_000;
/** Of each kind. A request that finds none free waits for one; that, too, is latency. */
const CONNECTIONS = 16;

export interface Measured {
  readonly count: number;
  /** Anything but the data that was asked for. The first few, in words. */
  readonly failures: readonly string[];
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export type Measurement = Readonly<Record<Kind, Measured>>;

/** Measures for `ms`. */
export async function wellBehaved(world: World, ms: number): Promise<Measurement> {
  const measured = await Promise.all(KINDS.map((kind) => openLoop(world, kind, ms)));
  return Object.fromEntries(KINDS.map((kind, i) => [kind, measured[i]])) as unknown as Measurement; // one for each kind
}

export interface Bounds {
  /** How many times the quiet p99 is allowed. Default 10. */
  readonly factor?: number;
  /** What is always allowed: below it a machine's own noise is no sign of an attack. Default 1 s. */
  readonly floorMs?: number;
  /** How many times as long as the p99 the slowest answer may take. Default 4. */
  readonly maxFactor?: number;
}

/** What of an attacked viewer's answers was not as it must be: nothing, when all is well. */
export function harmDone(quiet: Measurement, attacked: Measurement, bounds: Bounds = {}) {
  const { factor = 10, floorMs = 1000, maxFactor = 4 } = bounds;
  return KINDS.flatMap((kind) => {
    const { count, failures, p99, max } = attacked[kind];
    const bound = Math.max(floorMs, factor * quiet[kind].p99);
    const above = (what: string, ms: number, atMost: number) =>
      ms > atMost ? [`${kind}: ${what} ${ms.toFixed(0)} ms, expected at most ${atMost.toFixed(0)} ms`] : [];
    return [
      ...(count === 0 ? [`${kind}: nothing was answered`] : []),
      ...failures.map((failure) => `${kind}: ${failure}`),
      ...above('p99', p99, bound),
      ...above('max', max, maxFactor * bound),
    ];
  });
}

/** A measurement in words. */
export function described(measurement: Measurement): string {
  const line = (kind: Kind) => {
    const { count, failures, p50, p99, max } = measurement[kind];
    return `${kind} ${count}, ${failures.length} failed, p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} max ${max.toFixed(1)} ms`;
  };
  return KINDS.map(line).join(' | ');
}

async function openLoop(world: World, kind: Kind, ms: number): Promise<Measured> {
  const agent = new Agent({ keepAlive: kind !== 'connecting', maxSockets: CONNECTIONS });
  const times: number[] = [];
  const failures: string[] = [];
  const startedMs = performance.now();
  const answered = async (n: number, plannedMs: number) => {
    const failure = await ask(world, agent, bodyOf(world, kind, n)).catch((error: Error) => error.message);
    times.push(performance.now() - plannedMs);
    if (failure !== undefined) failures.push(`request ${n}: ${failure}`);
  };
  const answers: Promise<void>[] = [];
  for (let n = 0; n * EVERY_MS[kind] < ms; n++) {
    const plannedMs = startedMs + n * EVERY_MS[kind];
    await setTimeout(Math.max(0, plannedMs - performance.now()));
    answers.push(answered(n, plannedMs));
  }
  await Promise.all(answers);
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.ceil(share * times.length) - 1)] ?? 0;
  return { count: times.length, failures: failures.slice(0, 5), p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Grows over all measurements of a world, so that no list was asked for before. */
let unique = 0;

function bodyOf({ fixture }: World, kind: Kind, n: number): object {
  const task = fixture.opsTasks[0] as (typeof fixture.opsTasks)[number];
  switch (kind) {
    case 'cached':
    case 'connecting':
      return { query: '{ viewer { id name } projects(first: 5) { nodes { id key name } } }' };
    case 'uncached': {
      const query = 'query ($f: TaskFilter) { tasks(first: 5, filter: $f) { nodes { id title status } } }';
      return { query, variables: { f: { number: { gt: -++unique } } } };
    }
    case 'write': {
      const query =
        'mutation ($i: UpdateTaskInput!) { updateTask(input: $i) { task { id title } errors { message } } }';
      return { query, variables: { i: { id: task.id, title: `Task ${n}` } } };
    }
  }
}

/** @returns what was wrong with the answer, undefined when nothing was */
function ask({ port, viewer }: World, agent: Agent, body: object): Promise<string | undefined> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${viewer.token}`,
      'x-forwarded-for': viewer.address,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    };
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const failed = (error: Error) =>
      reject(signal.aborted ? new Error(`no answer within ${ANSWER_WITHIN_MS} ms`) : error);
    const sent = request({ host: '127.0.0.1', port, path: '/graphql', method: 'POST', agent, headers, signal });
    sent.once('error', failed);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', failed);
      response.once('end', () => {
        const answer = Buffer.concat(chunks).toString();
        const right = response.statusCode === 200 && answer.startsWith('{"data":{') && !answer.includes('"message"');
        resolve(right ? undefined : `HTTP ${response.statusCode}: ${answer.slice(0, 300)}`);
      });
    });
    sent.end(text);
  });
}
