/** Two servers that share a database and a Redis group: one with subscribers, and one that writes. */
import type { Sql } from 'postgres';
import { expect } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf } from './app.js';
import { type Fixture, fixture } from './fixture.js';
import { type LiveApp, liveApp } from './live.js';
import { mutationDocument } from './mutations.js';
import { type Connection, connect } from './subscriber.js';

export interface SubscribedServers {
  /** The one with subscribers. */
  readonly app: LiveApp;
  readonly other: LiveApp;
  readonly sql: Sql;
  readonly f: Fixture;
  /** A connection to `app`, as ada unless said. */
  connected(as?: UserId): Connection;
  /** The payload of a mutation without errors, asked of `other`, as ada unless said. */
  // biome-ignore lint/suspicious/noExplicitAny: of any shape; what tests expect of it is asserted
  mutate(name: string, input: object, selection?: string, as?: UserId): Promise<any>;
  closeConnections(): Promise<void>;
  close(): Promise<void>;
}

/** @param tasks of the project OPS */
export async function subscribedServers(tasks: number): Promise<SubscribedServers> {
  const app = await liveApp();
  const other = await liveApp({ databaseUrl: app.databaseUrl, group: app.group });
  const sql = postgresClient(app.databaseUrl, { max: 3 });
  const f = await fixture(app, tasks);
  const connections: Connection[] = [];
  return {
    app,
    other,
    sql,
    f,
    connected(as = f.ada.id) {
      const connection = connect(app, as);
      connections.push(connection);
      return connection;
    },
    async mutate(name, input, selection = '', as = f.ada.id) {
      const document = mutationDocument(name, `${selection} errors { message }`);
      const answer = dataOf(await other.ask(document, { as, variables: { input } }))[name];
      expect(answer.errors).toEqual([]);
      return answer;
    },
    async closeConnections() {
      await Promise.all(connections.splice(0).map((connection) => connection.close()));
    },
    async close() {
      await sql.end();
      await other.close();
      await app.close();
    },
  };
}
