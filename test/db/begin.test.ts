/** The first statement of a write, in one message with BEGIN: held against a Postgres that is played by a script. */
import { EventEmitter } from 'node:events';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { expect, test } from 'vitest';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { preparedIn, withSettings } from '../../src/engine/postgres/pool-transaction.js';
import { PoolWatch } from '../../src/engine/postgres/pool-watch.js';
import { WritePool } from '../../src/engine/postgres/write-pool.js';

/** One message of the protocol: its type, its length, its body. */
function message(type: string, body: string): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, Buffer.from(body, 'latin1')]);
}

const ROW = [
  message('T', '\0\x01one\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0'),
  message('D', '\0\x01\0\0\0\x011'),
];

/** A connection to a Postgres that knows simple queries; `refuses`: how many of the next BEGIN fail. */
class ScriptedPostgres extends EventEmitter {
  readonly readyState = 'open';
  /** The statements of each message that arrived. */
  readonly arrived: string[][] = [];
  refuses = 0;
  #status = 'I';
  #started = false;

  write(bytes: Uint8Array): boolean {
    const answers = this.#started ? this.#read(Buffer.from(bytes)) : [message('R', '\0\0\0\0'), message('Z', 'I')];
    this.#started = true;
    setImmediate(() => this.emit('data', Buffer.concat(answers)));
    return true;
  }

  /** Simple queries (Q), and statements that are parsed (P) and then run. */
  #read(bytes: Buffer): Buffer[] {
    const statements: string[] = [];
    const answers: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
      const type = String.fromCharCode(bytes[at] as number);
      if (type !== 'Q' && type !== 'P') continue;
      const texts = bytes.toString('latin1', at + 5, at + 1 + bytes.readUInt32BE(at + 1)).split('\0');
      const statement = (type === 'Q' ? texts[0] : texts[1])?.trim() as string;
      statements.push(statement);
      if (type === 'P') answers.push(message('1', ''), message('t', '\0\0'), message('n', ''), message('2', ''));
      answers.push(...this.#answer(statement));
    }
    this.arrived.push(statements);
    return answers;
  }

  #answer(statement: string): Buffer[] {
    if (statement === 'begin deferrable' && this.refuses-- > 0)
      return [message('E', 'SERROR\0C57014\0Mcanceling statement\0\0'), message('Z', this.#status)];
    if (statement === 'begin deferrable') this.#status = 'T';
    if (/^(commit|rollback)$/.test(statement)) this.#status = 'I';
    const rows = statement.startsWith('select') ? ROW : [];
    return [...rows, message('C', `${statement}\0`), message('Z', this.#status)];
  }

  end(): void {
    this.emit('close', false);
  }

  destroy(): void {
    this.end();
  }
}

function scripted() {
  const server = new ScriptedPostgres();
  const options = { socket: () => server, max: 1, fetch_types: false, prepare: false, connect_timeout: 0 };
  const pool = new WritePool(() => postgres({ ...options, host: 'none', user: 'none', ssl: false } as object), {
    logger: false,
    watch: new PoolWatch(1, {}),
  });
  return { server, db: drizzle(pool.client) };
}

const statement = (tx: Transaction, name: string, early: boolean) =>
  preparedIn(
    tx,
    name,
    (at, prepared) =>
      at
        .select({ one: sql`${sql.raw(name)}` })
        .from(sql`rows`)
        .prepare(prepared),
    { early },
  ).execute();

test('one that takes locks alone is sent with BEGIN, the next ones behind it', async () => {
  const { server, db } = scripted();
  await db.transaction(async (tx) => {
    await statement(tx, 'locks', true);
    await statement(tx, 'writes', true);
  });
  expect(server.arrived).toEqual([
    ['begin deferrable', 'select locks from rows'],
    ['select writes from rows'],
    ['commit'],
  ]);
});

test('the first ones that are early are sent with BEGIN, and all behind one that is not wait in order', async () => {
  const { server, db } = scripted();
  await db.transaction(async (tx) => {
    const names = [
      ['locks', true],
      ['tags', true],
      ['writes', false],
      ['more', true],
    ] as const;
    await Promise.all(names.map(([name, early]) => statement(tx, name, early)));
  });
  expect(server.arrived.flat()).toEqual([
    'begin deferrable',
    ...['locks', 'tags', 'writes', 'more'].map((name) => `select ${name} from rows`),
    'commit',
  ]);
  expect(server.arrived[0]).toEqual(['begin deferrable', 'select locks from rows', 'select tags from rows']);
});

test('the settings of a transaction are sent with BEGIN, and its first statement behind them', async () => {
  const { server, db } = scripted();
  await db.transaction(withSettings({ 'app.user': 'ada' }, (tx) => statement(tx, 'locks', true)));
  expect(server.arrived).toEqual([
    ['begin deferrable', "set local app.user = 'ada'", 'select locks from rows'],
    ['commit'],
  ]);
});

test('one that may write waits until BEGIN has been answered', async () => {
  const { server, db } = scripted();
  await db.transaction((tx) => statement(tx, 'writes', false));
  expect(server.arrived).toEqual([['begin deferrable'], ['select writes from rows'], ['commit']]);
});

test('where BEGIN fails, the write fails with that, and nothing but the locks is sent', async () => {
  const { server, db } = scripted();
  server.refuses = 1;
  const late: unknown[] = [];
  const failing = db.transaction(async (tx) => {
    await statement(tx, 'locks', true);
    await statement(tx, 'writes', false).catch((error: unknown) => late.push(error));
  });
  await expect(failing).rejects.toMatchObject({ code: '57014' });
  await db.transaction((tx) => statement(tx, 'others', true));
  expect(late).toHaveLength(1);
  expect(server.arrived).toEqual([
    ['begin deferrable', 'select locks from rows'],
    ['begin deferrable', 'select others from rows'],
    ['commit'],
  ]);
});

test('a transaction that sends nothing begins and ends', async () => {
  const { server, db } = scripted();
  await db.transaction(async () => {});
  expect(server.arrived).toEqual([['begin deferrable'], ['commit']]);
});
