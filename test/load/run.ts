/**
 * Load, and what it may cost. `npm run test:load` prints Markdown; with
 *
 *   LOAD_ONLY            hot, outage or live; default: all
 *   LOAD_SECONDS         of each part; default 20
 *   LOAD_OUTAGE_SECONDS  for how long Redis is away; default 30
 *   LOAD_READERS         default: 1000 of the hot task, 200 in the outage
 *   LOAD_LIVE_*          of the part with live queries: CONNECTIONS (2000, five live queries each), PROCESSES (2), WRITES (20 a second),
 *                        HOT_SHARE (0.1 of the writes: of a task that many read), HOT_READERS (200), POLLERS (200)
 *   LOAD_TIMING          off: print what depends on the machine's speed, but do not check it
 *   TEST_DATABASE_URL    of a server; default: a private one that writes nothing through to the disk
 *
 * Its last line is `load: ok` or `load: FAILED <what>`; exit code 0, 1, or 2 when the run itself failed. The clients run in this
 * process: when it is as good as always busy, what it measures of latency and requests is its own limit.
 */
import { type Reaper, startReaper } from '../chaos/reaper.js';
import { Checks } from './checks.js';
import { HOT_HEADER, measureHot } from './hot.js';
import { measureLive } from './live/live.js';
import { liveOptions } from './live/options.js';
import { measureOutage, OUTAGE_HEADER } from './outage.js';
import { NEAR_CACHE_BYTES, PROCESSES, startServers, startWorld, type World } from './world.js';

const HOT_READERS = 1000;
const OUTAGE_READERS = 200;
const MIN_BEFORE_SECONDS = 2;
const MIN_AFTER_SECONDS = 5;

const env = process.env;
const seconds = numberOf('LOAD_SECONDS', 20);
const outageSeconds = numberOf('LOAD_OUTAGE_SECONDS', 30);
const only = env['LOAD_ONLY'];
const say = (line: string) => process.stdout.write(`${line}\n`);
const checks = new Checks(say, { timing: env['LOAD_TIMING'] !== 'off' });

const PARTS = ['hot', 'outage', 'live'] as const;
type Part = (typeof PARTS)[number];

async function main(): Promise<void> {
  if (only !== undefined && !PARTS.some((part) => part === only)) {
    throw new Error(`LOAD_ONLY: expected ${PARTS.join(', ')} or nothing, got ${only}`);
  }
  const reaper = startReaper();
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const { databaseUrl, stop } = await startServers(reaper);
  const isRun = (part: Part) => only === undefined || only === part;
  try {
    if (isRun('hot')) await hot({ databaseUrl, reaper });
    if (isRun('outage')) await outage({ databaseUrl, reaper });
    if (isRun('live')) {
      await measureLive({ databaseUrl, reaper, options: liveOptions(env), say, check: checks.must });
    }
  } finally {
    await stop();
  }
}

interface Servers {
  readonly databaseUrl: string;
  readonly reaper: Reaper;
}

async function within<T>(
  options: Servers & { nearCacheBytes: number; writingApart: boolean },
  measure: (world: World) => Promise<T>,
): Promise<T> {
  const world = await startWorld(options);
  try {
    return await measure(world);
  } finally {
    await world.stop();
  }
}

async function hot(servers: Servers): Promise<void> {
  const readers = numberOf('LOAD_READERS', HOT_READERS);
  say(`## One hot task: ${PROCESSES} processes, a write every 100 ms, ${seconds} s each\n`);
  const lines: string[] = [];
  for (const nearCache of [true, false]) {
    const options = { nearCache, readers, seconds, check: checks.must, say };
    lines.push(
      await within({ ...servers, nearCacheBytes: nearCache ? NEAR_CACHE_BYTES : 0, writingApart: true }, (world) =>
        measureHot(world, options),
      ),
    );
  }
  say(['', ...HOT_HEADER, ...lines, ''].join('\n'));
}

async function outage(servers: Servers): Promise<void> {
  const readers = numberOf('LOAD_READERS', OUTAGE_READERS);
  say(
    `## Redis killed, and back empty after ${outageSeconds} s: ${PROCESSES} processes, ${readers} readers, 2 writers\n`,
  );
  const options = {
    readers,
    beforeSeconds: Math.max(MIN_BEFORE_SECONDS, seconds / 4),
    outageSeconds,
    afterSeconds: Math.max(MIN_AFTER_SECONDS, seconds),
    check: checks.must,
    checkInTime: checks.mustInTime,
  };
  const lines = await within({ ...servers, nearCacheBytes: NEAR_CACHE_BYTES, writingApart: false }, (world) =>
    measureOutage(world, options),
  );
  say(['', ...OUTAGE_HEADER, ...lines, ''].join('\n'));
}

function numberOf(name: string, otherwise: number): number {
  const number = Number(env[name] || otherwise);
  if (!(number > 0)) throw new Error(`${name}: expected a number above 0, got ${env[name]}`);
  return number;
}

main().then(
  () => {
    const { failed } = checks;
    say(failed.length === 0 ? 'load: ok' : `load: FAILED ${failed.join('; ')}`);
    process.exit(failed.length === 0 ? 0 : 1);
  },
  (error) => {
    process.stderr.write(`the run failed: ${error instanceof Error ? error.stack : error}\n`);
    say('load: FAILED the run itself');
    process.exit(2);
  },
);
