/**
 * The Lua files, and how one is run: by its digest, sent whole when the server does not know it (a restart, a
 * failover).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';

export interface Script {
  readonly text: string;
  readonly sha1: string;
}

function script(...files: string[]): Script {
  const text = files.map((file) => readFileSync(new URL(file, import.meta.url), 'utf8')).join('\n');
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}

export const mintScript = script('held.lua', 'mint.lua');
export const fillScript = script('fill.lua');
export const fenceScript = script('held.lua', 'foreign.lua', 'log-append.lua', 'fence.lua');
export const releaseScript = script('held.lua', 'foreign.lua', 'release-tags.lua', 'log-append.lua', 'release.lua');
export const headScript = script('head.lua');
export const applyScript = script('held.lua', 'foreign.lua', 'release-tags.lua', 'log-append.lua', 'apply.lua');

export async function runScript(
  client: Redis | Cluster,
  { text, sha1 }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await client.evalsha(sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (!isUnknownScript(error)) throw error;
    return await client.eval(text, keys.length, ...keys, ...args);
  }
}

export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** The replies of a pipeline. @throws its first error */
export function repliesOf(results: readonly [Error | null, unknown][] | null): unknown[] {
  return (results ?? []).map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}
