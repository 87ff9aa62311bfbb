/** What a client learns of its write when something goes wrong after it. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { expect, test, vi } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { CommitOutcomeUnknown } from '../../src/engine/postgres/transactor.js';
import { eventually, headersFor, testApp } from '../support/app.js';
import { fixture } from '../support/fixture.js';
import { liveApp } from '../support/live.js';
import { restartablePostgres } from '../support/restartable-postgres.js';

test.each([
  ['whose write proves its user', 'completeTask'],
  ['whose user is checked before it', 'reopenTask'],
])(
  'a commit of unknown outcome is reported as such, also when Postgres is away then: of a mutation %s',
  async (_, field) => {
    const postgres = await restartablePostgres();
    const app = await testApp({ databaseUrl: postgres.url });
    try {
      const f = await fixture(app);
      const [{ id }] = f.opsTasks as [(typeof f.opsTasks)[number]];
      const commit = app.transactor.transact.bind(app.transactor);
      vi.spyOn(app.transactor, 'transact').mockImplementation(async (fn) => {
        await commit(fn);
        await postgres.stop();
        throw new CommitOutcomeUnknown(new Error('the connection broke'));
      });
      const document = `mutation($id: ID!) { ${field}(input: { id: $id }) { errors { code } } }`;
      const { errors } = await app.ask(document, { as: f.ada.id, variables: { id } });
      expect(errors).toMatchObject([{ extensions: { code: 'COMMIT_OUTCOME_UNKNOWN' } }]);
    } finally {
      await app.close().catch(() => {});
      await postgres.close();
    }
  },
);

test('a known mutation that is under way as the server closes is answered, and its connection ends', async () => {
  const app = await liveApp();
  const sql = postgresClient(app.databaseUrl, { max: 1 });
  const agent = new Agent({ keepAlive: true });
  try {
    const f = await fixture(app);
    const [{ id }] = f.opsTasks as [(typeof f.opsTasks)[number]];
    const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
    const post = async (query: string, variables: object) => {
      const body = JSON.stringify({ query, variables });
      const length = { 'content-length': String(Buffer.byteLength(body)) };
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const options = { method: 'POST', agent, headers: { ...headers, ...length } };
        request(app.url, options, resolve).once('error', reject).end(body);
      });
      return { text: Buffer.concat(await response.toArray()).toString(), connection: response.headers.connection };
    };
    const rename = (title: string) =>
      post('mutation($input: UpdateTaskInput!) { updateTask(input: $input) { task { title } } }', {
        input: { id, title },
      });
    await post('{ viewer { handle } }', {}); // whose headers are recorded
    // The first ones go through Apollo.
    for (let n = 0; n < 4; n++) expect((await rename(`Title ${n}`)).connection).toBe('keep-alive');
    let closing: Promise<unknown> | undefined;
    let renaming: ReturnType<typeof rename> | undefined;
    await sql.begin(async (tx) => {
      await tx`select from tasks for update`;
      renaming = rename('Three');
      await eventually(() => expect(app.transactor.state.running).toBe(1));
      closing = app.server.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    expect(await renaming).toEqual({ text: expect.stringContaining('Three'), connection: 'close' });
    await closing; // the test's time limit is shorter than that of an idle connection
  } finally {
    agent.destroy();
    await sql.end();
    await app.close();
  }
});
