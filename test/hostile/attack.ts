/**
 * What an attack is, and what it has to work with. An attack runs in a process of its own (attacker-process.ts), as one viewer from one
 * address, and stays within the documented limits unless crossing them is the attack.
 */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import type { Attacker, World } from './world.js';

/** What crosses over to the attack's process: JSON. */
export interface Target {
  readonly port: number;
  readonly attacker: Attacker;
  /** What `prepare` returned. */
  readonly prepared: unknown;
}

export interface Attack {
  /** What it does, as a sentence without its subject: `asks for answers of half a gigabyte`. */
  readonly name: string;
  /** In the process of the test, before anything is measured: rows that the attack needs. What it returns must be JSON. */
  prepare?(world: World, attacker: Attacker): Promise<unknown>;
  /** Attacks until `signal` aborts. Rejecting is a fault of the attack, not of the server. */
  run(target: Target, tally: AttackTally, signal: AbortSignal): Promise<void>;
}

/** How the server answered, by status or code of a refusal. */
export class AttackTally {
  readonly counts: Record<string, number> = {};
  bytes = 0;

  add(what: string | number, bytes = 0): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    this.bytes += bytes;
  }
}

export interface Sent {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** At most KEPT_BYTES of the body. */
  readonly text: string;
  readonly bytes: number;
}

export interface ToSend {
  readonly method?: string;
  readonly path?: string;
  /** An object is sent as JSON. Absent: none. */
  readonly body?: string | Buffer | object;
  /** Default: the attacker's token and address, and JSON. `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

const KEPT_BYTES = 64 * 1024;
const ANSWER_WITHIN_MS = 60_000;
const agent = new Agent({ keepAlive: true, maxSockets: 512 });

/** Sends one request and reads its whole answer. @throws when the connection ends before it */
export function send({ port, attacker }: Target, toSend: ToSend): Promise<Sent> {
  const { method = 'POST', path = '/graphql', body, signal } = toSend;
  const payload = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${attacker.token}`,
    'x-forwarded-for': attacker.address,
    ...(payload !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    ...toSend.headers,
  };
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, agent, headers: given, ...(signal && { signal }) });
    sent.setTimeout(ANSWER_WITHIN_MS, () => sent.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    sent.once('error', reject);
    sent.once('response', (response) => {
      const kept: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        if (bytes < KEPT_BYTES) kept.push(chunk);
        bytes += chunk.length;
      });
      response.once('error', reject);
      response.once('end', () => {
        const text = Buffer.concat(kept).toString('utf8', 0, KEPT_BYTES);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, bytes });
      });
    });
    sent.end(payload);
  });
}

/** The code of the first error of an answer, else its status. */
export function outcomeOf({ status, text }: Sent): string {
  const code = /"code":"([A-Z_]+)"/.exec(text)?.[1];
  return code === undefined ? String(status) : `${status} ${code}`;
}

/**
 * Calls `step` again and again on `lanes` at once until the signal aborts, and counts what it returns. A step that throws (the server
 * closed the connection) counts as `closed`, and its lane waits a moment.
 */
export async function repeat(
  { lanes, tally, signal }: { lanes: number; tally: AttackTally; signal: AbortSignal },
  step: (n: number) => Promise<Sent | string>,
): Promise<void> {
  let n = 0;
  const lane = async () => {
    while (!signal.aborted) {
      try {
        const result = await step(n++);
        if (typeof result === 'string') tally.add(result);
        else tally.add(outcomeOf(result), result.bytes);
      } catch {
        if (signal.aborted) return;
        tally.add('closed');
        await pause(20, signal);
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Resolves after `ms`, or when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
