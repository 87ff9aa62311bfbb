import { defineConfig } from 'drizzle-kit';

/** `npm run db:generate` at the root compares the tables in src with the migrations and writes the difference. */
export default defineConfig({
  dialect: 'postgresql',
  schema: '../src/**/*.table.ts',
  out: '../src/db/migrations',
});
