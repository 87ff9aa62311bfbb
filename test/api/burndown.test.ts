/** The burndown: counted by the day, cached, and right again after a write. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);

async function burndown(days?: number) {
  const query =
    'query($key: String!, $days: Int! = 30) { project(key: $key) { burndown(days: $days) { date remaining completed } } }';
  return dataOf(await app.ask(query, { as: f.ada.id, variables: { key: 'OPS', ...(days && { days }) } })).project
    .burndown;
}

test('each day tells what was left at its end, and a write shows at once', async () => {
  const noon = (ago: number) => `${day(ago)}T12:00:00.000Z`;
  const [done, canceled, late] = f.opsTasks;
  await app.transactor.transact(async (tx) => {
    await tx.execute(`update tasks set created_at = '${noon(90)}' where number < 6`);
    await tx.execute(`update tasks set created_at = '${noon(2)}' where number = 6 and title <> 'Web task'`);
    await tx.execute(`update tasks set status = 'DONE', completed_at = '${noon(1)}' where title = '${done?.title}'`);
    await tx.execute(`update tasks set status = 'CANCELED' where title = '${canceled?.title}'`);
    await tx.execute(`update tasks set status = 'DONE', completed_at = '${noon(60)}' where title = '${late?.title}'`);
  });
  const expected = [
    { date: day(3), remaining: 3, completed: 0 },
    { date: day(2), remaining: 4, completed: 0 },
    { date: day(1), remaining: 3, completed: 1 },
    { date: day(0), remaining: 3, completed: 0 },
  ];
  expect(await burndown(4)).toEqual(expected);
  app.reset();
  expect(await burndown(4)).toEqual(expected);
  expect(app.counts.statements).toEqual([]);
  const complete = 'mutation($id: ID!) { completeTask(input: { id: $id }) { errors { message } } }';
  expect(
    dataOf(await app.ask(complete, { as: f.ada.id, variables: { id: f.opsTasks[3]?.id } })).completeTask.errors,
  ).toEqual([]);
  expect((await burndown(4)).at(-1)).toEqual({ date: day(0), remaining: 2, completed: 1 });
  expect(await burndown()).toHaveLength(30);
  expect(await burndown(1)).toHaveLength(1);
});

test.each([0, 366])('%i days are refused', async (days) => {
  const query = `{ project(key: "OPS") { burndown(days: ${days}) { date } } }`;
  const { errors } = await app.ask(query, { as: f.ada.id });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'days' } }]);
});
