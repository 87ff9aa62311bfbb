/**
 * All attacks at once on one production server, while a viewer who behaves measures its own answers. `npm run test:hostile`; with
 *
 *   HOSTILE_SECONDS     default 60
 *   HOSTILE_ONLY        names of attacks with commas between them: the files in `attacks/`
 *   HOSTILE_RSS_MB      what the server's memory must stay under; default 1024
 *   TEST_DATABASE_URL   of a server; default: a private one
 *
 * Its last line is `hostile: ok` or `hostile: FAILED <what>`; exit code 0, 1, or 2 when the run itself failed.
 */
import 'reflect-metadata'; // attacks use the decorated classes of src
import { readdir } from 'node:fs/promises';
import { startReaper } from '../chaos/reaper.js';
import { startServers } from '../load/world.js';
import { prepareAttack } from './attacker.js';
import { described, harmDone, wellBehaved } from './well-behaved.js';
import { startWorld } from './world.js';

const QUIET_MS = 5000;
/**
 * Generous, since Postgres, Redis and the attackers take the server's own cores, and all attacks begin at once. Reads from
 * Postgres then take some 100 times as long as in quiet, on fast machines (1.5 s) and on slow ones (4 to 5 s).
 */
const BOUNDS = { floorMs: 3000, factor: 150, maxFactor: 2 };
const MIB = 1024 * 1024;

const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<string[]> {
  const seconds = numberOf('HOSTILE_SECONDS', 60);
  const rssMiB = numberOf('HOSTILE_RSS_MB', 1024);
  const names = await attackNames();
  const reaper = startReaper();
  const { databaseUrl, stop } = await startServers(reaper);
  const world = await startWorld({ databaseUrl, reaper });
  try {
    const attacks = [];
    for (const name of names) attacks.push(await prepareAttack(world, name));
    await wellBehaved(world, QUIET_MS / 2); // warm
    const quiet = await wellBehaved(world, QUIET_MS);
    say(`quiet     ${described(quiet)}`);
    world.server.takePeakRss();
    for (const attack of attacks) attack.begin(); // what each may take at once is taken at the same time, and measured
    const measured = await wellBehaved(world, seconds * 1000);
    const peakMiB = world.server.takePeakRss() / MIB;
    say(`attacked  ${described(measured)}`);
    say(`memory    at most ${peakMiB.toFixed(0)} MiB`);
    const reports = await Promise.all(attacks.map((attack) => attack.stop()));
    for (const { name, counts, bytes } of reports) {
      say(`- ${name}: ${JSON.stringify(counts)}, ${(bytes / MIB).toFixed(0)} MiB received`);
    }
    return [
      ...harmDone(quiet, measured, BOUNDS),
      ...(peakMiB > rssMiB ? [`memory: ${peakMiB.toFixed(0)} MiB, expected at most ${rssMiB}`] : []),
      ...(world.server.died ? ['the server ended'] : []),
    ];
  } finally {
    await world.stop();
    await stop();
  }
}

async function attackNames(): Promise<string[]> {
  const files = await readdir(new URL('./attacks/', import.meta.url));
  const all = files.filter((file) => file.endsWith('.ts')).map((file) => file.slice(0, -'.ts'.length));
  const only = process.env['HOSTILE_ONLY']?.split(',');
  const missing = only?.filter((name) => !all.includes(name)) ?? [];
  if (missing.length > 0)
    throw new Error(`HOSTILE_ONLY: there is no ${missing.join(', ')}; there are ${all.join(', ')}`);
  return only ?? all;
}

function numberOf(name: string, otherwise: number): number {
  const number = Number(process.env[name] || otherwise);
  if (!(number > 0)) throw new Error(`${name}: expected a number above 0, got ${process.env[name]}`);
  return number;
}

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
main().then(
  (failed) => {
    say(failed.length === 0 ? 'hostile: ok' : `hostile: FAILED ${failed.join('; ')}`);
    process.exit(failed.length === 0 ? 0 : 1);
  },
  (error) => {
    process.stderr.write(`the run failed: ${error instanceof Error ? error.stack : error}\n`);
    say('hostile: FAILED the run itself');
    process.exit(2);
  },
);
