/** Who is compared. */
import type { CellName } from './cells.js';
import type { DialectName, ReadKind } from './workload.js';

export interface Contender {
  readonly name: string;
  /** For tables; without the version of Node. */
  readonly title: string;
  readonly file: string;
  readonly mode: string;
  readonly dialect: DialectName;
  /** `limit`: no GraphQL, no data. */
  readonly kind: 'ours' | 'peer' | 'limit';
  readonly cached: boolean;
  /** Drops what a mutation has made old. */
  readonly invalidates: boolean;
  readonly tables: TablesName;
  readonly node: 'main' | '20';
  /** The first major version of Node that it runs on. */
  readonly needsNode?: number;
  /** A package that npm may have left out. */
  readonly needs?: string;
  readonly redis: 'one server' | 'cluster';
  readonly reads: readonly ReadKind[];
  readonly cells: readonly CellName[];
  /** Whether races are provoked and two processes measured as well. */
  readonly freshness: boolean;
}

/** `without-cache-triggers`: the triggers of this API's own features stay. `plain`: no triggers. */
export type TablesName = 'fenced' | 'without-cache-triggers' | 'plain';

const COMMON = ['Q1', 'Q2', 'Q3', 'mixed', 'mixed, open loop'] as const;
const HITS = ['Q1 hits', 'Q2 hits'] as const;
const RUN = ['Q1 run', 'Q2 run'] as const;
const COLD = ['Q1 cold', 'Q2 cold'] as const;

const usual = { node: 'main', redis: 'one server', reads: ['Q1', 'Q2', 'Q3'], cells: COMMON } as const;
const ours = {
  ...usual,
  file: 'tasks-api',
  dialect: 'api',
  kind: 'ours',
  tables: 'fenced',
  mode: 'cached',
  cached: true,
  invalidates: true,
  freshness: false,
} as const;
const uncached = { cached: false, invalidates: false, freshness: false } as const;
const peer = {
  ...usual,
  dialect: 'plain',
  kind: 'peer',
  tables: 'plain',
  mode: 'cached',
  cached: true,
  freshness: true,
} as const;
const limit = {
  ...usual,
  file: 'limit',
  dialect: 'api',
  kind: 'limit',
  tables: 'fenced',
  cached: true,
  invalidates: false,
  freshness: false,
} as const;

const api = {
  ...ours,
  name: 'tasks-api',
  title: 'this server',
  freshness: true,
  cells: [...COMMON, ...HITS, ...RUN, ...COLD, 'writes'],
} as const;
const apollo = {
  ...peer,
  ...uncached,
  name: 'apollo-plain',
  title: 'Apollo + DataLoader, no cache',
  file: 'apollo',
  mode: 'uncached',
  cells: [...COMMON, ...COLD, 'writes'],
} as const;

export const CONTENDERS = [
  api,
  {
    ...ours,
    name: 'tasks-api-cluster',
    title: 'this server, Redis Cluster of 3 shards',
    redis: 'cluster',
    cells: ['mixed'],
  },
  { ...ours, ...uncached, name: 'tasks-api-uncached', title: 'this server without cache', mode: 'uncached' },
  {
    ...ours,
    ...uncached,
    name: 'api-without-engine',
    title: 'this API without the engine',
    mode: 'without-engine',
    tables: 'without-cache-triggers',
  },
  apollo,
  { ...peer, name: 'apollo', title: 'Apollo + response-cache plugin', file: 'apollo', invalidates: false },
  { ...peer, name: 'yoga', title: 'Yoga + response cache', file: 'yoga', invalidates: true },
  { ...peer, name: 'mercurius', title: 'Mercurius + JIT + mercurius-cache', file: 'mercurius', invalidates: true },
  {
    ...limit,
    name: 'limit-redis',
    title: 'limit: node:http + one Redis GET',
    mode: 'redis',
    cells: [...COMMON, ...HITS],
  },
  { ...limit, name: 'limit-memory', title: 'limit: node:http, bytes in memory', mode: 'memory' },
  { ...api, name: 'tasks-api-node20', node: '20', freshness: false },
  { ...apollo, name: 'apollo-plain-node20', node: '20' },
  {
    ...peer,
    ...uncached,
    name: 'postgraphile',
    title: 'PostGraphile 5, no cache',
    file: 'postgraphile',
    needs: 'postgraphile',
    mode: 'uncached',
    dialect: 'postgraphile',
    needsNode: 22,
    reads: ['Q1', 'Q2'],
    cells: ['Q1', 'Q2', ...COLD],
  },
] as const satisfies readonly Contender[];
export type ContenderName = (typeof CONTENDERS)[number]['name'];

export const contender = (name: ContenderName): Contender => CONTENDERS.find((one) => one.name === name) as Contender;
