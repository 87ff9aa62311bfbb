/** Starts the server. The only file of the server with effects when loaded, and the only one that reads the environment. */
import { createApp } from './app.js';
import { MemoryStore, RedisStore } from './cache/index.js';
import { type Config, ConfigError, readConfig } from './config.js';
import type { Services } from './development.js';
import { createLog } from './log.js';
import { signToken, tokenVerifier } from './tokens.js';

/** What the explorer shows first: two levels, so that the trace below the answer has something to tell. */
const EXAMPLE = `# Run it twice: the second answer's extensions.cache says 0 SQL statements.
{
  projects {
    nodes {
      key
      name
      stats { total overdue completedLast7Days }
      tasks(first: 5, filter: { status: { in: [TODO, IN_PROGRESS] } }) {
        nodes { identifier title priority assignee { name } labels { nodes { name } } commentCount }
      }
    }
  }
}
`;

const closers: (() => Promise<void>)[] = [];
let closing: Promise<void> | undefined;

try {
  await start(readConfig(process.env));
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : error);
  await close();
  process.exitCode = 1;
}

async function start(config: Config): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void close());
  const production = config.environment === 'production';
  const services = production ? productionServices(config) : await developmentServices(config);
  const log = createLog(config.logLevel);
  const tokens = { tokens: services.tokens, issuer: config.issuer, audience: config.audience };

  let store: MemoryStore | RedisStore = new MemoryStore();
  if (services.redisUrl !== undefined) {
    store = new RedisStore({ url: services.redisUrl });
    await store.ready();
  }
  const token = production ? undefined : await demoToken(services.databaseUrl, tokens);
  const app = await createApp({
    databaseUrl: services.databaseUrl,
    store,
    log,
    checkCoverage: !production,
    production,
    verifyToken: tokenVerifier(tokens),
    ...(token !== undefined && { explorer: { token, document: EXAMPLE } }),
  });
  closers.push(() => app.close());
  const url = await app.server.listen({ host: config.host, port: config.port });
  if (production) return log.info({ url }, 'listening');
  console.log(`API       ${url}/graphql
Explorer  ${url}/
Postgres  ${services.described.postgres}
Redis     ${services.described.redis}
Token     ${token}`);
}

function productionServices({ databaseUrl, redisUrl, tokens }: Config): Services {
  // readConfig has refused a production environment without them.
  const required = { databaseUrl, redisUrl, tokens } as Pick<Services, 'databaseUrl' | 'redisUrl' | 'tokens'>;
  return { ...required, described: { postgres: 'DATABASE_URL', redis: 'REDIS_URL' }, stop: async () => {} };
}

/** Loaded only here: production has neither the embedded servers nor the demo data. */
async function developmentServices(config: Config): Promise<Services> {
  const { ownServices } = await import('./development.js');
  const { prepareDemo } = await import('./demo/prepare.js');
  const services = await ownServices(config);
  closers.push(() => services.stop());
  await prepareDemo(services.databaseUrl);
  return services;
}

async function demoToken(databaseUrl: string, tokens: Parameters<typeof signToken>[0]): Promise<string | undefined> {
  if (tokens.tokens.kind !== 'secret') return undefined;
  const { DEMO_OWNER, userIdOf } = await import('./demo/prepare.js');
  const owner = await userIdOf(databaseUrl, DEMO_OWNER);
  return owner && (await signToken(tokens, owner, '12h'));
}

/** In reverse order, once, however many signals arrive. */
function close(): Promise<void> {
  closing ??= (async () => {
    for (const closer of closers.reverse()) await closer().catch((error) => console.error(error));
  })();
  return closing;
}
