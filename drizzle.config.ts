/** `npm run db:generate` compares the tables in src with the migrations and writes the difference. */
export default {
  dialect: 'postgresql',
  schema: './src/**/*.table.ts',
  out: './src/db/migrations',
};
