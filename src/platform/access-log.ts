/** Log lines about requests to the API: for a share of them, and for those that took long. */
import type { Log } from './log.js';
import { cutName, type RequestMetrics } from './request-metrics.js';
import { slowLog } from './slow-log.js';

export interface RequestLogOptions {
  /** Of all requests, drawn at random: 0 to 1. */
  readonly share: number;
  /** Requests that take as long are logged as slow, ms. 0: none. */
  readonly slowMs: number;
}

export function withRequestLog(
  requests: RequestMetrics,
  log: Log,
  { share, slowMs }: RequestLogOptions,
): RequestMetrics {
  const sampled = log.isLevelEnabled('info') ? share : 0;
  const slowFromMs = slowMs > 0 && log.isLevelEnabled('warn') ? slowMs : Number.POSITIVE_INFINITY;
  if (sampled === 0 && slowFromMs === Number.POSITIVE_INFINITY) return requests;
  const logSlow = slowLog(log, 'slow operation');
  return {
    ...requests,
    answered(request) {
      requests.answered(request);
      const isSlow = request.ms >= slowFromMs;
      if (!isSlow && (sampled === 0 || (sampled < 1 && Math.random() >= sampled))) return;
      const { id: requestId, operation, caller, as: answered, status, ms } = request;
      const name = operation && cutName(operation);
      const line = { requestId, operation: name, answered, status, ms: Math.round(ms * 100) / 100 };
      if (isSlow) logSlow({ ...line, viewer: viewerOf(caller) });
      else log.info(line, 'request');
    },
  };
}

/** Undefined for a caller without a token. */
function viewerOf(caller: string | undefined): string | undefined {
  return /^viewer:(.*)$/s.exec(caller ?? '')?.[1];
}
