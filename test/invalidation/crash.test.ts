/** A process that dies in the middle of a write, by SIGKILL: what it committed is seen at once, what it left behind goes away. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { compiledPrograms } from '../support/built.js';
import { redisUrl } from '../support/servers.js';
import { lastOutcome, relayed, served, taskOf, type World, world } from './world.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RENAME = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { id } errors { message } } }';

let program: string;
beforeAll(async () => {
  program = join(await compiledPrograms(), 'test', 'invalidation', 'crash-child.js');
});

let w: World;
let id: string;
let child: Child | undefined;

beforeEach(async () => {
  w = await world();
  id = (w.f.opsTasks[0] as (typeof w.f.opsTasks)[number]).id;
});
afterEach(async () => {
  await child?.kill();
  child = undefined;
  await w?.close();
});

interface Child {
  /** Waits until it says this; fails with what it said instead when it ends before. */
  says(line: string): Promise<void>;
  go(): void;
  kill(): Promise<void>;
}

function startChild(crashAt: 'fenced' | 'committed', title: string): Child {
  const spawned: ChildProcessByStdio<Writable, Readable, Readable> = spawn(process.execPath, [program], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      CRASH_DATABASE_URL: w.app.databaseUrl,
      CRASH_REDIS_URL: redisUrl(),
      CRASH_GROUP: w.app.group,
      CRASH_VIEWER: w.f.ada.id,
      CRASH_AT: crashAt,
      CRASH_PAYLOAD: JSON.stringify({ query: RENAME, variables: { input: { id, title } } }),
    },
  });
  const ended = once(spawned, 'exit');
  const said: string[] = [];
  const waiting = new Map<string, () => void>();
  for (const input of [spawned.stdout, spawned.stderr]) {
    createInterface({ input }).on('line', (line) => {
      said.push(line);
      waiting.get(line)?.();
    });
  }
  return {
    async says(line) {
      const heard = said.includes(line) || new Promise<void>((resolve) => waiting.set(line, resolve));
      const end = ended.then(() => Promise.reject(new Error(`it ended before it said ${line}:\n${said.join('\n')}`)));
      end.catch(() => {}); // it is killed in the end
      await Promise.race([heard, end]);
    },
    go() {
      spawned.stdin.write('go\n');
    },
    async kill() {
      spawned.kill('SIGKILL');
      if (spawned.exitCode === null && spawned.signalCode === null) await ended;
    },
  };
}

test(
  'a process that dies between commit and release has its write seen at once, and cached again soon',
  async () => {
    child = startChild('committed', 'The last words');
    await child.says('ready');
    await relayed(w);
    const before = await served(w.app, id, w.f.ada.id);
    // Nobody repairs until we have looked.
    await w.app.relay.stop();
    child.go();
    await child.says('committed');
    await child.kill();

    expect((await w.redis.fenced()).length).toBeGreaterThan(0);
    expect(await taskOf(w.app, id, w.f.ada.id)).toEqual({ title: 'The last words', version: before.version + 1 });
    expect(lastOutcome(w.app, 'Task')?.kind).toBe('bypass');

    await w.app.relay.start();
    expect(await served(w.app, id, w.f.ada.id)).toEqual({ title: 'The last words', version: before.version + 1 });
    expect(await w.redis.fenced()).toEqual([]);
  },
  2 * MINUTE,
);

test(
  'a process that dies between fence and commit hinders nobody, and its fence goes away',
  async () => {
    child = startChild('fenced', 'Never said');
    await child.says('ready');
    await relayed(w);
    const before = await served(w.app, id, w.f.ada.id);
    child.go();
    await child.says('fenced');
    expect((await w.redis.fenced()).length).toBeGreaterThan(0);
    expect(await taskOf(w.app, id, w.f.ada.id)).toEqual(before);
    expect(lastOutcome(w.app, 'Task')?.kind).toBe('bypass');

    await child.kill();
    expect(await taskOf(w.app, id, w.f.ada.id)).toEqual(before);
    expect(await served(w.app, id, w.f.ada.id)).toEqual(before);
  },
  2 * MINUTE,
);

test(
  'a process that lives on, and whose release is lost, is repaired by the relays of the others',
  async () => {
    child = startChild('committed', 'Said, not released');
    await child.says('ready');
    await served(w.app, id, w.f.ada.id);
    child.go();
    await child.says('committed');
    expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('Said, not released');
    expect((await served(w.app, id, w.f.ada.id)).title).toBe('Said, not released');
  },
  2 * MINUTE,
);
