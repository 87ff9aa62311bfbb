/** The process of all clients: what reads answers must not be what measures the writes. It ends with the runner. */
import { Agent } from 'node:http';
import { sleep } from '../../chaos/wait.js';
import { post } from '../post.js';
import { Answers, type Payload, textOf } from './answers.js';
import { LiveConnection } from './live-connection.js';
import { QUERIES_PER_CONNECTION } from './options.js';
import { Poller } from './poller.js';
import { type ClientConnection, clockMs, type FromClients, type ToClients } from './protocol.js';

/** Connections that are opened, or begin, at once. */
const AT_ONCE = 25;
const COMPARE_AGAIN_MS = 100;
/** Characters of two different answers, from some before their first difference on. */
const SHOWN = 120;
const SHOWN_BEFORE = 40;

const answers = new Answers();
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
let connections: readonly ClientConnection[] = [];
/** Let each client begin, by its connection's number. */
let begins: (() => Promise<void>)[] = [];

/** The number of a connection's first question. */
const firstOf = (connection: number) => connection * QUERIES_PER_CONNECTION;

async function done(message: ToClients): Promise<FromClients> {
  switch (message.kind) {
    case 'connect':
      connections = message.connections;
      begins = [];
      await eachOf(connections, async (connection, n) => {
        begins[n] = await (message.as === 'live' ? live(connection, n) : polling(connection, n));
      });
      return { done: 'connect' };
    case 'begin':
      await eachOf(begins, (begin) => begin());
      return { done: 'begin' };
    case 'reset':
      answers.reset();
      return { done: 'reset' };
    case 'report':
      return { done: 'report', report: answers.report() };
    case 'compare':
      return { done: 'compare', ...(await compare(message.withinMs)) };
  }
}

async function live(connection: ClientConnection, n: number) {
  const opened = await LiveConnection.open(connection, answers);
  return () => opened.subscribe(connection.questions, firstOf(n));
}

async function polling(connection: ClientConnection, n: number) {
  const poller = new Poller(connection, answers, firstOf(n));
  return () => poller.begin();
}

/** How many last answers are not what a POST answers, when the time is over. */
async function compare(withinMs: number): Promise<{ different: number; example: string | undefined }> {
  const deadlineMs = clockMs() + withinMs;
  const differences: string[] = [];
  await eachOf(connections, async ({ url, token, questions }, n) => {
    for (const [i, question] of questions.entries()) {
      const options = { url, agent, headers: { authorization: `Bearer ${token}` } };
      const difference = async () => {
        const now = textOf(JSON.parse(await post(JSON.stringify(question), options)) as Payload);
        return differenceOf(answers.textAt(firstOf(n) + i) ?? '', now);
      };
      let last = await difference();
      while (last !== undefined && clockMs() < deadlineMs) {
        await sleep(COMPARE_AGAIN_MS);
        last = await difference();
      }
      if (last !== undefined) differences.push(`${JSON.stringify(question)}: ${last}`);
    }
  });
  return { different: differences.length, example: differences[0] };
}

function differenceOf(last: string, now: string): string | undefined {
  if (last === now) return undefined;
  const at = Math.max(0, [...last].findIndex((char, i) => char !== now[i]) - SHOWN_BEFORE);
  const shown = (text: string) => text.slice(at, at + SHOWN);
  return `the client has …${shown(last)}…, a POST answers …${shown(now)}…`;
}

async function eachOf<T>(all: readonly T[], work: (one: T, n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < all.length) {
      const n = next++;
      await work(all[n] as T, n);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

process.on('message', (message: ToClients) => {
  done(message).then(
    (answer) => process.send?.(answer),
    (error) => {
      process.stderr.write(`the clients failed at ${message.kind}: ${error instanceof Error ? error.stack : error}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit());
