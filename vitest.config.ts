import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They need no server: `npm run test:unit`. */
const UNIT = [
  'test/*.test.ts',
  'test/access/tokens.test.ts',
  'test/api/{bytes-by-caller,cached-root,document-store,event-response,json-text,list-diff,live-points,live-runs,loads,operation-slots,request-context,schema,send-queue,stalled-clients,turns,waiting-answers,webhook-address,sort-key}.test.ts',
  'test/cache/{cache,callers,cluster-memory,codec,engine,entry,interleavings,key,live-interleavings,live-queries,memoize,near-cache,nested-memory,outage,policy,tag,turn-batch,shared-loads,clock-map,recent-map,brought-values,written-copies}.test.ts',
  'test/chaos/history.test.ts',
  'test/cli/{running,unpatched-driver}.test.ts',
  'test/db/{availability,connection-url,driver-check,driver-queue,columns,young-closures}.test.ts',
  'test/console/{documents,explain-model}.test.ts',
  'test/docs/{architecture,compose,pages,scaling}.test.ts',
  'test/import/github-issues.test.ts',
  'test/invalidation/scheduler.test.ts',
  'test/ops/{alerts,helm-chart,observability}.test.ts',
];
const HOSTILE = ['test/hostile/*.test.ts'];

/** They take the longest, the longest first: begun before the others, they end before them. */
const LONG = [
  'cli/main',
  'chaos/smoke',
  'console/console',
  'cli/workers',
  'api/access-matrix',
  'invalidation/refused-writes',
  'load/smoke',
  'invalidation/physical-copies',
  'package/bookshop',
  'api/explorer',
  'api/filters',
  'api/known-operations',
  'invalidation/another-database',
  'access/activity',
  'cli/rolling-deploy',
  'cli/traces',
  'package/installs',
  'invalidation/relay',
  'invalidation/topologies',
].map((name) => `/test/${name}.test.ts`);

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId }: TestSpecification) => {
      const index = LONG.findIndex((name) => moduleId.endsWith(name));
      return index === -1 ? LONG.length : index;
    };
    return [...new Set(sorted.map(({ project }) => project))].flatMap((project) =>
      sorted.filter((file) => file.project === project).sort((a, b) => place(a) - place(b)),
    );
  }
}

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  resolve: {
    // vitest would load graphql twice (ESM for us, CommonJS for its dependents): "another module or realm".
    alias: [
      {
        find: /^graphql$/,
        replacement: fileURLToPath(new URL('./node_modules/graphql/index.js', import.meta.url)),
      },
    ],
  },
  test: {
    name,
    setupFiles: ['reflect-metadata'],
    isolate: false, // a worker loads the server's modules, which takes seconds, once
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } }, // as generous as `eventually`; the default is a second
    ...test,
  },
});

export default defineConfig({
  test: {
    // Each worker has a PostgreSQL and a Redis of its own: a transaction that one test holds open keeps the leases of all databases of its
    // server waiting. On servers that are given, one file runs at a time.
    globalSetup: ['test/support/services.ts'],
    maxWorkers: process.env.TEST_DATABASE_URL || process.env.TEST_REDIS_URL ? 1 : 3,
    sequence: { sequencer: LongFirst },
    projects: [
      project('unit', { include: UNIT }),
      project('servers', { include: ['test/**/*.test.ts'], exclude: [...UNIT, ...HOSTILE] }),
      // What keeps answers fresh is held to the same with entries in process memory; but for tests that steer a read's trip to Redis.
      project('near', {
        include: ['test/invalidation/{crash,outside-writes,redis-outage,relay,transact,upkeep}.test.ts'],
        env: { TEST_NEAR_CACHE: 'on' },
      }),
      // `npm run test:attacks`: they measure one client's latency under another's attack, one by one, which takes a machine of its own. A
      // pause of the machine can look like harm once; harm that an attack does shows every time.
      project('hostile', { include: HOSTILE, maxWorkers: 1, sequence: { groupOrder: 1 }, retry: 2 }),
    ],
  },
});
