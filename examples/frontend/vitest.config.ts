import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/generate.ts', 'test/server.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
