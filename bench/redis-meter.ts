/** What a Redis server says of its own use: CPU, calls by command, memory. Its own CPU time does not depend on what else the machine does. */
import type { Redis } from 'ioredis';

export interface RedisUsage {
  /** User and system, all threads, µs since the server started. */
  readonly cpuUs: number;
  /** By command, the commands that scripts ran among them; without those of the bench and of replicas. */
  readonly calls: ReadonlyMap<string, number>;
  /** By command, µs of executing it, a script's commands in the script's time too; without reading and writing sockets. */
  readonly executionUs: ReadonlyMap<string, number>;
}

export async function redisUsage(redis: Redis): Promise<RedisUsage> {
  // One after the other in one pipeline: what the replies cost is a constant that differences contain once.
  const [[, cpu], [, stats]] = (await redis.pipeline().info('cpu').info('commandstats').exec()) as [
    [null, string],
    [null, string],
  ];
  const seconds = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(cpu)?.[1] ?? Number.NaN);
  return {
    cpuUs: (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6,
    calls: statsIn(stats, 'calls'),
    executionUs: statsIn(stats, 'usec'),
  };
}

/** Of several servers. */
export function together(usages: readonly RedisUsage[]): RedisUsage {
  const summed = (of: (usage: RedisUsage) => ReadonlyMap<string, number>) => {
    const sums = new Map<string, number>();
    for (const [command, value] of usages.flatMap((usage) => [...of(usage)])) {
      sums.set(command, (sums.get(command) ?? 0) + value);
    }
    return sums;
  };
  return {
    cpuUs: usages.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
    calls: summed(({ calls }) => calls),
    executionUs: summed(({ executionUs }) => executionUs),
  };
}

/** Without INFO, which only the bench sends, and REPLCONF, which replicas send. */
function statsIn(commandStats: string, field: 'calls' | 'usec'): ReadonlyMap<string, number> {
  const found = [...commandStats.matchAll(/^cmdstat_(\S+?):calls=(\d+),usec=(\d+)/gm)].map(
    ([, command, calls, usec]) => [command as string, Number(field === 'calls' ? calls : usec)] as const,
  );
  return new Map(found.filter(([command]) => command !== 'info' && command !== 'replconf'));
}

export async function usedMemoryBytes(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

/** Calls between two readings, by command, without those that made none. */
export function callsBetween(before: RedisUsage, after: RedisUsage): Record<string, number> {
  return Object.fromEntries(
    [...after.calls]
      .map(([command, calls]) => [command, calls - (before.calls.get(command) ?? 0)] as const)
      .filter(([, calls]) => calls > 0),
  );
}

/** Execution time of what clients sent, µs: these commands, or the scripts. */
export function executionBetween(before: RedisUsage, after: RedisUsage, commands: readonly string[]): number {
  const used = ({ executionUs }: RedisUsage) => commands.reduce((sum, name) => sum + (executionUs.get(name) ?? 0), 0);
  return used(after) - used(before);
}
