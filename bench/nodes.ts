/** Which executables of Node run the contenders. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contender } from './contender.js';

const PACKAGES = fileURLToPath(new URL('node_modules', import.meta.url));
/** How long npm may take to download a Node. */
const DOWNLOAD_MS = 120_000;

export interface NodeBinary {
  readonly file: string;
  /** As `process.version` has it. */
  readonly version: string;
}

export interface Nodes {
  /** The one that runs the bench. */
  readonly own: NodeBinary;
  /** What contenders of this server run on: BENCH_NODE, else `own`. */
  readonly ours: NodeBinary;
  /** BENCH_NODE26, else what npm provides; looked for by the first call. Undefined: there is none. */
  readonly node26: () => NodeBinary | undefined;
}

/** @throws when BENCH_NODE names no Node; `node26` when BENCH_NODE26 names none, or one of another version */
export function findNodes(env: NodeJS.ProcessEnv): Nodes {
  const own = { file: process.execPath, version: process.version };
  const { BENCH_NODE: given, BENCH_NODE26: given26 } = env;
  let found: { readonly node: NodeBinary | undefined } | undefined;
  return {
    own,
    ours: given ? named('BENCH_NODE', given) : own,
    node26() {
      found ??= { node: given26 ? named26(given26) : downloaded26() };
      return found.node;
    },
  };
}

/** Undefined: it is not there. */
export function nodeOf({ node, kind }: Contender, nodes: Nodes): NodeBinary | undefined {
  if (node === '26') return nodes.node26();
  return kind === 'ours' ? nodes.ours : nodes.own;
}

/** Why the contender cannot run on this machine. Undefined: it can. */
export function whyMissing(one: Contender, nodes: Nodes): string | undefined {
  if (nodeOf(one, nodes) === undefined) return 'needs Node 26, which neither BENCH_NODE26 nor npm provides';
  if (one.needs === undefined || existsSync(join(PACKAGES, one.needs))) return undefined;
  return `the package ${one.needs} is not installed: npm ci --prefix bench`;
}

/** Names the version of Node where it is chosen, or another than that of the bench. */
export function titleOf(one: Contender, nodes: Nodes): string {
  const version = nodeOf(one, nodes)?.version ?? `v${one.node}`;
  return one.node === 'this' && version === nodes.own.version ? one.title : `${one.title}, Node ${version.slice(1)}`;
}

function named(variable: string, file: string): NodeBinary {
  const version = versionOf(file);
  if (version === undefined) throw new Error(`${variable}: expected an executable of Node, got ${file}`);
  return { file, version };
}

/** `none` leaves it out. */
function named26(file: string): NodeBinary | undefined {
  if (file === 'none') return undefined;
  const found = named('BENCH_NODE26', file);
  if (!found.version.startsWith('v26.')) throw new Error(`BENCH_NODE26: expected Node 26, got ${found.version}`);
  return found;
}

function downloaded26(): NodeBinary | undefined {
  const { status, stdout } = spawnSync('npx', ['-y', '-p', 'node@26', 'which', 'node'], {
    encoding: 'utf8',
    timeout: DOWNLOAD_MS,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const file = stdout?.trim();
  const version = status === 0 && file ? versionOf(file) : undefined;
  return version?.startsWith('v26.') ? { file, version } : undefined;
}

function versionOf(file: string): string | undefined {
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return status === 0 && /^v\d+\./.test(stdout) ? stdout.trim() : undefined;
}
