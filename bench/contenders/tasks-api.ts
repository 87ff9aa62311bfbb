/**
 * This server as main.ts composes it in production: options from the environment through `readConfig`, the coverage check off, the rate limit off,
 * process memory on. `uncached`: with a store that never has a lease, so that every call is loaded from Postgres, batched as ever, and nothing is kept.
 * `without-engine`: see without-engine.ts.
 */
import 'reflect-metadata';
import { createApp } from '../../src/app.js';
import { openStore } from '../../src/core.js';
import { MemoryStore } from '../../src/engine/cache/index.js';
import { type Config, readConfig } from '../../src/platform/config.js';
import { createLog } from '../../src/platform/log.js';
import { tokenVerifier } from '../../src/server/auth/tokens.js';
import { onStatement, options, ready } from './child.js';
import { coreWithoutEngine } from './without-engine.js';

/** Of main.ts: of all hits, how many are held against Postgres. */
const MONITOR_SHARE = 1 / 10_000;

class NoStore extends MemoryStore {
  override async read(): Promise<Awaited<ReturnType<MemoryStore['read']>>> {
    return { leases: [undefined], entries: new Map(), tokens: new Map(), log: undefined };
  }
}

const config = readConfig({
  NODE_ENV: 'production',
  LOG_LEVEL: 'warn',
  RATE_LIMIT_POINTS: '0',
  TIME_LIMITS: 'off',
  DATABASE_URL: options.databaseUrl,
  ...(options.clusterNodes ? { REDIS_CLUSTER_NODES: options.clusterNodes } : { REDIS_URL: options.redisUrl }),
  JWT_SECRET: options.jwtSecret,
});
const cached = options.mode === 'cached';
const log = createLog(config.logLevel);
const app = await createApp({
  databaseUrl: options.databaseUrl,
  store: cached ? await openStore(config.redis, log) : new NoStore(),
  log,
  checkCoverage: false,
  fencePolicy: config.fencePolicy,
  nearCacheBytes: cached ? config.nearCacheBytes : 0,
  maxLoads: config.maxLoads,
  ...(options.mode === 'without-engine' && { makeCore: coreWithoutEngine }),
  monitorShare: MONITOR_SHARE,
  production: true,
  knownOperations: config.knownOperations,
  introspection: config.introspection,
  ...config.access,
  rateLimit: undefined,
  verifyToken: tokenVerifier({
    tokens: config.tokens as NonNullable<Config['tokens']>, // readConfig has refused a production environment without
    issuer: config.issuer,
    audience: config.audience,
    algorithms: config.access.algorithms,
  }),
  onStatement,
});
await app.server.listen({ host: '127.0.0.1', port: 0 });
ready(app.server.server);
