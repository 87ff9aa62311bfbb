/** `npm run db:generate` compares the tables in src with the migrations and writes the difference. Tables of the cache are not among them: `npm run db:cache`. */
export default {
  dialect: 'postgresql',
  schema: './src/domain/**/*.table.ts',
  out: './src/db/migrations',
};
