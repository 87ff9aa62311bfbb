/**
 * PostGraphile 5 on node:http with the schema that it makes of the same tables. Reads alone: statistics would need a function in the database, and its
 * generated mutations do not raise the version of a task. It needs Node 22 or later.
 */
import { createServer } from 'node:http';
import { Pool } from 'pg';
import { postgraphile } from 'postgraphile';
import { TYPES } from 'postgraphile/@dataplan/pg';
import { makePgService } from 'postgraphile/adaptors/pg';
import { grafserv } from 'postgraphile/grafserv/node';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { onStatement, options, ready } from './child.js';

const pool = new Pool({ connectionString: options.databaseUrl });
pool.on('connect', (client) => {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  client.query = (...args: unknown[]): never => {
    onStatement();
    return query(...args) as never;
  };
});

/** PostGraphile knows no xid8, which no question asks for. */
const xid8AsText: GraphileConfig.Plugin = {
  name: 'Xid8AsTextPlugin',
  gather: {
    hooks: {
      pgCodecs_findPgCodec(_, event) {
        if (event.pgType.typname === 'xid8') event.pgCodec ??= TYPES.text;
      },
    },
  },
};

const pgl = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [xid8AsText],
  disablePlugins: ['PgIndexBehaviorsPlugin'], // it hides the labels of a task, whose index has its columns in another order
  pgServices: [makePgService({ pool, schemas: ['public'] })],
  grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false, websockets: false },
});
const server = createServer();
await pgl.createServ(grafserv).addTo(server);
await pgl.getSchema();
server.listen(0, '127.0.0.1', () => ready(server));
