/** What a mutation pays for that the caches are exact: see contenders/transaction.ts. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ChildOptions } from './contenders/child.js';
import type { WriteTimes } from './contenders/transaction.js';
import { median } from './tally.js';
import { JWT_SECRET, type Tasks, type World } from './world.js';

export interface WriteCost {
  readonly writes: number;
  /** Medians, ms. */
  readonly plainMs: number;
  readonly transactedMs: number;
  readonly addedMs: number;
}

export async function measureWriteCost(options: {
  world: World;
  fenced: Tasks;
  plain: Tasks;
  seconds: number;
}): Promise<WriteCost> {
  const { world, fenced, plain, seconds } = options;
  await world.redis.clear();
  const child: ChildOptions = {
    databaseUrl: plain.url,
    redisUrl: world.redis.url,
    mode: JSON.stringify({ seconds, fencedUrl: fenced.url }),
    jwtSecret: JWT_SECRET,
    answers: {},
  };
  const started = fork(join(world.compiled.server, 'bench/contenders/transaction.js'), {
    execPath: world.nodes.main().file,
    execArgv: [],
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', BENCH_CHILD: JSON.stringify(child) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const pid = started.pid as number;
  world.reaper.watch(pid);
  const ended = once(started, 'exit');
  const times = await Promise.race([
    once(started, 'message').then(([message]) => message as WriteTimes),
    ended.then(() => {
      throw new Error('the process that measures writes ended before it had measured them');
    }),
  ]);
  started.kill('SIGKILL');
  await ended;
  world.reaper.forget(pid);
  const [plainMs, transactedMs] = [median(times.plain), median(times.transacted)];
  return { writes: times.plain.length, plainMs, transactedMs, addedMs: transactedMs - plainMs };
}
