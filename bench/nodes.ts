/** Which executables of Node run the contenders. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from '../src/std/once.js';
import type { Contender } from './contender.js';

const PACKAGES = fileURLToPath(new URL('node_modules', import.meta.url));
/** The version that the Dockerfile runs this server on. */
const PRODUCTION = '26';
/** The oldest version that is supported. */
const OLDEST = '20';
/** How long npm may take to download a Node. */
const DOWNLOAD_MS = 120_000;

export interface NodeBinary {
  readonly file: string;
  /** As `process.version` has it. */
  readonly version: string;
}

/** The first call of a function looks for its Node. */
export interface Nodes {
  /** What contenders run on: BENCH_NODE, else the Node of the Dockerfile from npm, else the one that runs the bench. */
  readonly main: () => NodeBinary;
  /** BENCH_NODE20, else the one that runs the bench or what npm provides. Undefined: there is none. */
  readonly node20: () => NodeBinary | undefined;
}

/** The functions throw when a variable names no Node, or BENCH_NODE20 one of another version. */
export function findNodes({ BENCH_NODE: given, BENCH_NODE20: given20 }: NodeJS.ProcessEnv): Nodes {
  const own = { file: process.execPath, version: process.version };
  return {
    main: once(() => (given ? named('BENCH_NODE', given) : (downloaded(PRODUCTION) ?? own))),
    node20: once(() => (given20 ? named20(given20) : isOf(own, OLDEST) ? own : downloaded(OLDEST))),
  };
}

/** Undefined: this machine has none. */
export function nodeOf({ node }: Contender, nodes: Nodes): NodeBinary | undefined {
  return node === '20' ? nodes.node20() : nodes.main();
}

/** Why the contender cannot run on this machine. Undefined: it can. */
export function whyMissing(one: Contender, nodes: Nodes): string | undefined {
  const node = nodeOf(one, nodes);
  if (node === undefined) return 'needs Node 20, which neither BENCH_NODE20 nor npm provides';
  const { needsNode = 0 } = one;
  if (majorOf(node) < needsNode) return `needs Node ${needsNode}: the bench runs on ${node.version}`;
  if (one.needs === undefined || existsSync(join(PACKAGES, one.needs))) return undefined;
  return `the package ${one.needs} is not installed: npm ci --prefix bench`;
}

/** Names the version of Node if it is not that of most contenders. */
export function titleOf(one: Contender, nodes: Nodes): string {
  if (one.node === 'main') return one.title;
  return `${one.title}, Node ${(nodeOf(one, nodes)?.version ?? `v${one.node}`).slice(1)}`;
}

function named(variable: string, file: string): NodeBinary {
  const version = versionOf(file);
  if (version === undefined) throw new Error(`${variable}: expected an executable of Node, got ${file}`);
  return { file, version };
}

/** `none` leaves it out. */
function named20(file: string): NodeBinary | undefined {
  if (file === 'none') return undefined;
  const found = named('BENCH_NODE20', file);
  if (!isOf(found, OLDEST)) throw new Error(`BENCH_NODE20: expected Node 20, got ${found.version}`);
  return found;
}

const majorOf = ({ version }: NodeBinary) => Number.parseInt(version.slice(1), 10);
const isOf = (node: NodeBinary, major: string) => majorOf(node) === Number(major);

function downloaded(major: string): NodeBinary | undefined {
  const { status, stdout } = spawnSync('npx', ['-y', '-p', `node@${major}`, 'which', 'node'], {
    encoding: 'utf8',
    timeout: DOWNLOAD_MS,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const file = stdout?.trim();
  const version = status === 0 && file ? versionOf(file) : undefined;
  return file && version && isOf({ file, version }, major) ? { file, version } : undefined;
}

function versionOf(file: string): string | undefined {
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return status === 0 && /^v\d+\./.test(stdout) ? stdout.trim() : undefined;
}
