/** One process of the API under load: the real application on a port, which counts what it does. It ends with the runner. */
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createApp } from '../../src/app.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';
import { tokenVerifier } from '../../src/server/auth/tokens.js';
import type { ApiOptions, FromApi, ToApi } from './api-options.js';

const REPORT_EVERY_MS = 100;
/** How `rowsById` asks for tasks; a write asks for its row in other words. */
const TASK_SELECT = /from "tasks" where "tasks"\."id" = any\(/;

const options = JSON.parse(process.env['LOAD_API'] ?? '') as ApiOptions;
const tell = (message: FromApi) => process.send?.(message);

const outcomes: Record<string, number> = {};
const failures: Record<string, number> = {};
const stalls = monitorEventLoopDelay({ resolution: 10 });
stalls.enable();
let statements = 0;
let taskSelects = 0;
let unfenced = 0;
let loadsPeak = 0;

const store = new RedisStore({ url: options.redisUrl, group: 'load' });
await store.ready();
const app = await createApp({
  databaseUrl: options.databaseUrl,
  store,
  log: createLog('error'),
  checkCoverage: false,
  production: true,
  nearCacheBytes: options.nearCacheBytes,
  maxLoads: options.maxLoads,
  ...(options.subscriptionLimits && { subscriptionLimits: options.subscriptionLimits }),
  verifyToken: tokenVerifier(options.tokens),
  onStatement: (text) => {
    statements++;
    if (TASK_SELECT.test(text)) taskSelects++;
    // Every load issues a statement just after its turn has come: no peak is missed here.
    loadsPeak = Math.max(loadsPeak, app.cache.state.loads.running);
  },
  events: {
    outcome: ({ name, kind, reason }) => {
      const how = `${name} ${kind} ${reason ?? ''}`;
      outcomes[how] = (outcomes[how] ?? 0) + 1;
    },
    storeFailed: (step, error) => {
      const how = `${step}: ${error instanceof Error ? error.message : error}`;
      failures[how] = (failures[how] ?? 0) + 1;
    },
    unfenced: () => {
      unfenced++;
    },
  },
});

function report(asked: boolean): void {
  const counts = {
    statements,
    taskSelects,
    outcomes,
    unfenced,
    loadsPeak: app.cache.state.loads.peak,
    failures,
    stallMs: stalls.max / 1e6,
  };
  tell({ kind: 'counts', asked, counts, loadsPeak });
  loadsPeak = 0;
}

function reportUsage(): void {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { heapUsed, external } = process.memoryUsage();
  tell({ kind: 'usage', cpuMs: (user + system) / 1000, memoryBytes: heapUsed + external });
}

process.on('message', ({ kind }: ToApi) => (kind === 'usage' ? reportUsage() : report(true)));
process.on('disconnect', () => process.exit());
setInterval(() => report(false), REPORT_EVERY_MS);

await app.server.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.server.address();
if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
tell({ kind: 'ready', port: address.port });
