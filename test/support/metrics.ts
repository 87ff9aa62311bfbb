/** The metrics of a server that does nothing, and what Prometheus's text format says of a metric. */
import type { Cache } from '../../src/engine/cache/index.js';
import { createMetrics, type Metrics, type MetricsOptions } from '../../src/platform/metrics.js';

export function idleMetrics(options: Partial<MetricsOptions> = {}): Metrics {
  const cache = {
    state: { loads: { running: 0, waiting: 0 } },
    store: { outageMs: () => 0 },
    declared: new Set<string>(),
  } as unknown as Cache;
  const pool = { size: 1, inUse: 0, waiting: 0 };
  const outbox = async () => ({ rows: 0, bytes: 0 });
  const pools = () => ({ read: pool, write: pool });
  const pendingDeliveries = async () => 0;
  return createMetrics({ cache: () => cache, pools, outbox, pendingDeliveries, errorCodes: [], ...options });
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  /** By name and labels, as they are written. */
  readonly samples: ReadonlyMap<string, number>;
}

/** The families of the server and the engine, without those of Node's process. */
export function ownFamilies(text: string): readonly Family[] {
  return text
    .split(/\n(?=# HELP )/)
    .map((block) => block.trim().split('\n'))
    .flatMap(([help = '', type = '', ...lines]) => {
      const [, name = '', words = ''] = /^# HELP (\S+) ?(.*)$/.exec(help) ?? [];
      if (!/^(cache|graphql|tasks)_/.test(name)) return [];
      const samples = lines.map((line): [string, number] => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at))];
      });
      return [{ name, help: words, type: type.split(' ').at(-1) ?? '', samples: new Map(samples) }];
    });
}
