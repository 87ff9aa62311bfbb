/** Writes a line into the log for a share of the requests to the API. */
import type { Log } from './log.js';
import type { RequestMetrics } from './request-metrics.js';

/** @param share 0 to 1 of all requests, drawn at random */
export function withAccessLog(requests: RequestMetrics, log: Log, share: number): RequestMetrics {
  if (share === 0 || !log.isLevelEnabled('info')) return requests;
  return {
    ...requests,
    answered(request) {
      requests.answered(request);
      if (share < 1 && Math.random() >= share) return;
      const { id: requestId, operation, as: answered, status, ms } = request;
      log.info({ requestId, operation, answered, status, ms: Math.round(ms * 100) / 100 }, 'request');
    },
  };
}
