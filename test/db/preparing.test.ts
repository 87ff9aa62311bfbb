/** Which statements of writes are prepared: those that come again, up to a bound. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../src/engine/postgres/database.js';
import { preparedIn, statementCount } from '../../src/engine/postgres/pool-transaction.js';
import { databaseUrl } from '../support/servers.js';

let db: ReturnType<typeof openDatabase>;
beforeAll(() => {
  db = openDatabase({ url: databaseUrl() });
});
afterAll(() => db?.close());

const preparedHere = sql`
  select statement from pg_prepared_statements where statement like '%as written%' and statement not like '%pg_prepared%'`;

test('a statement is prepared when it comes again, in savepoints too; its parameters may differ', async () => {
  const values: unknown[] = [];
  const run = (n: number) =>
    db.write.transaction(async (tx) => {
      const [row] = await tx.execute<{ written: number }>(sql`select ${n}::int + 1 as written`);
      const [inner] = await tx.transaction((part) =>
        part.execute<{ v: string }>(sql`select ${`t${n}`}::text as written`),
      );
      values.push(row?.written, inner);
      return (await tx.execute<{ statement: string }>(preparedHere)).map(({ statement }) => statement);
    });
  expect(await run(1)).toEqual([]);
  const texts = ['select $1::int + 1 as written', 'select $1::text as written'];
  // Each connection prepares for itself, when the statement first comes to it after that.
  expect((await run(2)).sort()).toEqual(texts);
  expect((await run(3)).sort()).toEqual(texts);
  expect(values).toEqual([2, { written: 't1' }, 3, { written: 't2' }, 4, { written: 't3' }]);
});

test('a client that makes many different statements leaves no more than 500 of them prepared', async () => {
  const count = await db.write.transaction(async (tx) => {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 600; i++) await tx.execute(sql`select ${i}::int as ${sql.raw(`c${i}`)}`);
    }
    const [row] = await tx.execute<{ n: number }>(
      sql`select count(*)::int as n from pg_prepared_statements where statement like 'select %::int as c%'`,
    );
    return row?.n;
  });
  expect(count).toBeLessThanOrEqual(500);
  expect(count).toBeGreaterThan(400);
});

test('a statement built once runs in whatever transaction it is asked for in, and is seen like any other', async () => {
  const seen: string[] = [];
  const watched = openDatabase({ url: databaseUrl(), onStatement: (text) => seen.push(text) });
  let built = 0;
  const idIn = async (tx: Parameters<typeof preparedIn>[0], plus: number) => {
    const statement = preparedIn(tx, 'transaction_id', (at, name) => {
      built++;
      return at
        .select({ id: sql<string>`own.id`, sum: sql<number>`${sql.placeholder('plus')}::int + 1` })
        .from(sql`(select pg_current_xact_id()::text as id) as own`)
        .prepare(name);
    });
    const [row] = await statement.execute({ plus });
    const [own] = await tx.execute<{ id: string }>(sql`select pg_current_xact_id()::text as id`);
    expect(row).toEqual({ id: own?.id, sum: plus + 1 });
    return row?.id;
  };
  try {
    const ids = await Promise.all(
      [1, 2, 3].map((n) =>
        watched.write.transaction(async (tx) => {
          const outer = await idIn(tx, n);
          expect(statementCount(tx)).toBe(2);
          await tx.transaction(async (part) => {
            expect(await idIn(part, n)).toBe(outer);
            expect(statementCount(part)).toBeUndefined();
          });
          expect(statementCount(tx)).toBe(4);
          return outer;
        }),
      ),
    );
    expect(new Set(ids).size).toBe(3);
    expect(built).toBe(1);
    expect(seen.filter((text) => text.includes('own.id'))).toHaveLength(6);
  } finally {
    await watched.close();
  }
});

test('a transaction of reads is not mistaken for one of writes', async () => {
  const preparing = db.snapshot(async ({ read }) =>
    preparedIn(read as never, 'none', () => ({ execute: async () => 1 })),
  );
  await expect(preparing).rejects.toThrow('expected a transaction of the write pool');
});
