import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const HOSTILE = ['test/hostile/*.test.ts'];

export default defineConfig({
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
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts'], exclude: HOSTILE } },
      // These measure one client's latency under another's attack: scripts/test.mjs runs nothing beside them. A pause of the machine can
      // look like harm once; harm that an attack does shows every time.
      { extends: true, test: { name: 'hostile', include: HOSTILE, retry: 2 } },
      // What keeps answers fresh is held to the same with entries in process memory; but for tests that steer a read's trip to Redis.
      {
        extends: true,
        test: {
          name: 'near',
          include: ['crash', 'outside-writes', 'redis-outage', 'relay', 'transact', 'upkeep'].map(
            (name) => `test/invalidation/${name}.test.ts`,
          ),
          env: { TEST_NEAR_CACHE: 'on' },
        },
      },
    ],
    globalSetup: ['test/support/services.ts'],
    setupFiles: ['reflect-metadata'],
    // One file at a time: a transaction that one test holds open keeps the leases of all databases of the server waiting.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
