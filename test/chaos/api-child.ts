/**
 * One process of the API, for the runner to hurt: the real application on a port, its store wrapped so that it can be told to
 * kill or stop itself at a named step. It ends with the runner.
 */
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import { createApp } from '../../src/app.js';
import type { TaskId } from '../../src/db/ids.js';
import { toUuid } from '../../src/db/ids.js';
import { type LabelledTask, taskById } from '../../src/domain/tasks/task.loaders.js';
import type { Store } from '../../src/engine/cache/index.js';
import { Tracer } from '../../src/engine/graphql/cache-trace.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { Loads } from '../../src/graphql/context.js';
import { createLog } from '../../src/platform/log.js';
import { tokenVerifier } from '../../src/server/auth/tokens.js';
import { MINUTE } from '../../src/std/time.js';
import type { ChildOptions, FromChild, ToChild } from './child-options.js';
import { sleep } from './wait.js';

/** With CHAOS_BREAK=fence: how long a release that does nothing takes. */
const BROKEN_RELEASE_MS = 100;
const REPORT_EVERY_MS = 1000;
/** So small that it has to give up copies all the time. */
const NEAR_CACHE_BYTES = 4 * 1024 * 1024;

const options = JSON.parse(process.env['CHAOS_CHILD'] ?? '') as ChildOptions;
const tell = (message: FromChild) => process.send?.(message);

/** The one place that makes the store: what it can be told about its Redis comes from topology.ts. */
async function openStore(): Promise<Store> {
  const store = new RedisStore({ ...options.store, group: options.group });
  await store.ready();
  return store;
}

let armed: Extract<ToChild, { kind: 'arm' }> | undefined;

/** Where the runner wants it, this is the last thing that the process does, or the last for a while. */
function pass(hook: string): void {
  if (armed?.hook !== hook) return;
  const { signal } = armed;
  armed = undefined;
  writeSync(1, `reached ${hook}\n`); // a pipe: it is out before the signal
  process.kill(process.pid, signal);
}

/** Every method that answers later has a step before and a step after it, whatever the port's methods are called. */
function wrapped(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || typeof name !== 'string') return member;
      return (...args: unknown[]) => {
        if (options.breaks === 'fence' && name === 'fence') return Promise.resolve();
        if (options.breaks === 'fence' && name === 'release') return sleep(BROKEN_RELEASE_MS);
        pass(`before ${name}`);
        const answer: unknown = member.apply(target, args); // private members want the store itself as `this`
        if (!(answer instanceof Promise)) return answer;
        return answer.then((value) => {
          pass(`after ${name}`);
          if (name === 'fence') {
            pass('before commit');
            // The driver sends COMMIT in this turn of the event loop, and cannot have its answer in it.
            setImmediate(() => pass('during commit'));
          }
          return value;
        });
      };
    },
  });
}

const outcomes: Record<string, number> = {};
let unfenced = 0;

const app = await createApp({
  databaseUrl: options.databaseUrl,
  store: wrapped(await openStore()),
  log: createLog('warn'),
  checkCoverage: false, // other tests check it; here it would only cost
  production: false,
  nearCacheBytes: options.nearCache ? NEAR_CACHE_BYTES : 0,
  verifyToken: tokenVerifier(options.tokens),
  events: {
    outcome: ({ name, kind }) => {
      const counted = name === 'Answer' ? 'answer' : kind;
      outcomes[counted] = (outcomes[counted] ?? 0) + 1;
    },
    unfenced: () => {
      unfenced++;
    },
  },
});

/**
 * Moves one unit between two tasks, in one transaction of the API: no mutation touches two tasks. The ledger's row is locked
 * first, so that all moves are in one order, which its version counts. Answers all rows as the transaction leaves them.
 */
app.server.post('/chaos/move', async (request) => {
  const { ledger, from, to, all } = request.body as Record<'ledger' | 'from' | 'to', TaskId> & { all: TaskId[] };
  const { value } = await app.transactor.transact(async (tx) => {
    const change = (id: TaskId, title: ReturnType<typeof sql>) =>
      tx.execute(
        sql`update tasks set title = ${title}, version = version + 1, updated_at = now() where id = ${toUuid(id)}`,
      );
    await change(ledger, sql`(version + 1)::text`);
    await change(from, sql`(title::int - 1)::text`);
    await change(to, sql`(title::int + 1)::text`);
    return await tx.execute<{ id: string; version: number; title: string }>(
      sql`select id, version, title from tasks where id = any(${`{${all.map(toUuid).join(',')}}`}::uuid[])`,
    );
  });
  return value;
});

/** What a cached method is that reads within: a task, from the request's loads, inside of a cached load. */
const nested = {
  name: 'Chaos.nested',
  shape: '1',
  ttlMs: 10 * MINUTE,
  scope: 'public',
  tags: taskById.tags,
} as const;
app.server.post('/chaos/nested', async (request) => {
  const { id } = request.body as { id: TaskId };
  const { cache, db } = app;
  const loads = new Loads({ cache, db, viewer: '', tracer: new Tracer(false), readSet: cache.readSet() });
  await loads.load(taskById, id); // so the request's log read is known, and its loader remembers the task
  return await loads.read<TaskId, LabelledTask | null>(nested, id, async () => await loads.load(taskById, id));
});

process.on('message', (message: ToChild) => {
  if (message.kind === 'arm') armed = message;
  else armed = undefined;
});
process.on('disconnect', () => process.exit());
setInterval(() => {
  tell({ kind: 'counts', outcomes, unfenced });
}, REPORT_EVERY_MS);

await app.server.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.server.address();
if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
tell({ kind: 'ready', port: address.port });
