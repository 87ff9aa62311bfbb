/**
 * Checks, without a database, that a copy of postgres.js keeps what a dead connection has left behind off the next one.
 * postgres.js 3.4.9 as published does not; `patches/` mends it, and the door `/postgres-js` of the package is the
 * mended copy.
 *
 * The driver's `socket` option gives it connections that this file answers by a script. Only those faults are looked
 * for which can make an old value be served, lose a write or leave a statement waiting for ever. Two more end the
 * process, which the protocol survives: docs/decisions.md lists all five.
 */
import { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type postgres from 'postgres';

export type Driver = typeof postgres;

/**
 * A check takes a few passes of the event loop. After this many timers, one after the other, the driver waits for what
 * never comes. Time alone would not show it: this process may have been paused.
 */
const STALL_TIMERS = 200;
const STALL_TIMER_MS = 10;
const MAX_TURNS = 10;

const checked = new WeakMap<Driver, Promise<string | undefined>>();

/** The first fault that is found, in words that follow "it"; undefined for a driver that has none. */
export function driverFault(driver: Driver): Promise<string | undefined> {
  let fault = checked.get(driver);
  if (fault === undefined) {
    fault = firstFault(driver);
    checked.set(driver, fault);
  }
  return fault;
}

/** Whether the driver does what it should. */
type Check = (server: Script) => Promise<boolean>;

const CHECKS: readonly (readonly [fault: string, check: Check])[] = [
  ['can send the COMMIT of a transaction that lost its connection on the next connection', endsWithItsConnection],
  ['can send on a connection what it had not sent on the lost one before', startsWithNothingUnsent],
  ['can return rows of a statement that failed with those of the next one', startsWithoutRows],
];
const STALLED = 'can leave a statement waiting for ever after a connection was lost';

async function firstFault(driver: Driver): Promise<string | undefined> {
  for (const [fault, check] of CHECKS) {
    const found = await faultOf(driver, fault, check);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function faultOf(driver: Driver, fault: string, check: Check): Promise<string | undefined> {
  const script = new Script(driver);
  const ended = new AbortController();
  const checking = check(script).then(
    (passed) => (passed ? undefined : fault),
    () => fault,
  );
  const found = await Promise.race([checking, stalled(ended.signal)]);
  ended.abort();
  await script.end();
  return found;
}

async function stalled(signal: AbortSignal): Promise<string> {
  for (let i = 0; i < STALL_TIMERS && !signal.aborted; i++) await setTimeout(STALL_TIMER_MS);
  return STALLED;
}

/** What a transaction still says after its connection has died goes nowhere. */
async function endsWithItsConnection(server: Script): Promise<boolean> {
  const { client } = server;
  const late = 'select 1 as late';
  const begun = gate();
  const waits = gate();
  const transaction = client.begin(async (tx) => {
    begun.open();
    await waits.opened;
    await tx.unsafe(late);
  });
  const fails = rejects(transaction);
  await Promise.race([begun.opened, fails]);
  server.loseConnection();
  if (!(await fails)) return false;
  await client.unsafe('select 1');
  waits.open();
  await turns();
  return server.connections.every(({ received }) => !received.includes(late));
}

/** What was not sent when a connection died is not sent on the next one, and does not keep that one from sending. */
async function startsWithNothingUnsent(server: Script): Promise<boolean> {
  const { client } = server;
  await client.unsafe('select 1');
  // Before the driver's own immediate, which sends what this pass of the event loop has asked for.
  setImmediate(() => server.loseConnection());
  const cut = await rejects(client.unsafe('select 1 as cut'));
  await client.unsafe('select 1');
  return cut && server.connections.every(({ received }) => !received.includes('cut'));
}

async function startsWithoutRows(server: Script): Promise<boolean> {
  const { client } = server;
  const failed = await rejects(client.unsafe(FAILING));
  const rows = await client.unsafe('select 1');
  return failed && rows.length === 1;
}

function rejects(promise: PromiseLike<unknown>): Promise<boolean> {
  return Promise.resolve(promise).then(
    () => false,
    () => true,
  );
}

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Passes of the event loop until what was asked for before has been sent. */
async function turns(): Promise<void> {
  for (let i = 0; i < MAX_TURNS; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A client whose server is this script. */
class Script {
  readonly connections: ScriptedSocket[] = [];
  readonly client: ReturnType<Driver>;

  constructor(driver: Driver) {
    const socket = () => {
      const opened = new ScriptedSocket();
      this.connections.push(opened);
      return opened;
    };
    const own = { socket, max: 1, fetch_types: false, prepare: false, backoff: () => 0, connect_timeout: 0 };
    const { options } = driver({ ...own, host: 'none', user: 'none', ssl: false } as object);
    // As parsed, since PGTARGETSESSIONATTRS would make the driver ask what this script does not answer.
    this.client = driver({ ...options, target_session_attrs: null } as object);
  }

  loseConnection(): void {
    this.connections.at(-1)?.lose();
  }

  async end(): Promise<void> {
    await this.client.end({ timeout: 0 });
    for (const connection of this.connections) connection.lose();
  }
}

const FAILING = 'select failing';

/** A connection to a Postgres that answers every simple query with one row, but `FAILING` with a row and an error. */
class ScriptedSocket extends EventEmitter {
  readonly readyState = 'open';
  received = '';

  write(bytes: Uint8Array): boolean {
    if (this.listenerCount('close') === 0) return true; // lost
    const text = Buffer.from(bytes).toString('latin1');
    const isStartup = this.received === '';
    this.received += text;
    setImmediate(() => this.emit('data', isStartup ? STARTED : answerTo(text)));
    return true;
  }

  /** As a connection ends that the network or Postgres has cut. */
  lose(): void {
    this.emit('close', false);
  }

  end(): void {
    this.lose();
  }

  destroy(): void {
    this.lose();
  }
}

function answerTo(text: string): Buffer {
  if (text.includes('begin')) return Buffer.concat([message('C', 'BEGIN\0'), message('Z', 'T')]);
  const row = [
    message('T', '\0\x01one\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0'),
    message('D', '\0\x01\0\0\0\x011'),
  ];
  const ending = text.includes(FAILING) ? message('E', 'SERROR\0C22012\0Mfailed\0\0') : message('C', 'SELECT 1\0');
  return Buffer.concat([...row, ending, message('Z', 'I')]);
}

/** One message of the protocol: its type, its length, its body. */
function message(type: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, 'latin1');
  bytes.writeUInt32BE(4 + body.length, 1);
  bytes.write(body, 5, 'latin1');
  return bytes;
}

const STARTED = Buffer.concat([message('R', '\0\0\0\0'), message('Z', 'I')]);
