/** The part with live queries: this server, polling, and the in-memory live query library, with the same data, queries and writes. */
import type { Reaper } from '../../chaos/reaper.js';
import type { Check } from '../checks.js';
import { liveData } from './data.js';
import { type Measured, measureServers } from './measure.js';
import { type LiveOptions, QUERIES_PER_CONNECTION } from './options.js';
import { comparisonOf, tableOf } from './report.js';
import { type LiveServers, libraryIsInstalled, startLibrary, startOurs } from './servers.js';

interface Given {
  readonly databaseUrl: string;
  readonly reaper: Reaper;
  readonly options: LiveOptions;
  readonly say: (line: string) => void;
  readonly check: Check;
}

export async function measureLive({ databaseUrl, reaper, options, say, check }: Given): Promise<void> {
  const { connections, processes, writesPerS, hotShare, hotReaders, seconds } = options;
  say(
    `## Live queries: ${connections} connections with ${QUERIES_PER_CONNECTION} each on ${processes} processes, ${writesPerS} writes a ` +
      `second, ${Math.round(100 * hotShare)} % of them to a task that ${hotReaders} read, ${seconds} s each\n`,
  );
  const data = liveData(options);
  const measure = async (name: string, servers: LiveServers, polling: boolean): Promise<Measured[]> => {
    try {
      return await measureServers({ name, servers, data, options, reaper, check, polling });
    } finally {
      await servers.stop();
    }
  };
  const ours = await measure('this server', await startOurs({ data, options, databaseUrl, reaper }), true);
  const installed = await libraryIsInstalled();
  const library = installed ? await measure('in-memory library', await startLibrary({ data, reaper }), false) : [];
  say(`\n${tableOf([...ours, ...library])}\n`);
  const [live, polled] = ours;
  if (live !== undefined && polled !== undefined) say(`${comparisonOf(live, polled)}\n`);
  if (!installed) say('The in-memory library is not installed (`npm ci --prefix bench`): it is not measured.\n');
}
