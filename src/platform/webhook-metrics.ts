/** What becomes of messages to webhooks, for the metrics. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { seldom } from './outbox-metrics.js';

const OUTCOMES = ['delivered', 'retried', 'failed'] as const;
export type WebhookOutcome = (typeof OUTCOMES)[number];

export function deliveryMetrics(registry: Registry): (outcome: WebhookOutcome) => void {
  const attempts = new Counter({
    name: 'tasks_webhook_deliveries_total',
    help: 'Attempts to deliver a message to a webhook, by outcome: delivered, to be retried, or failed for good.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  for (const outcome of OUTCOMES) attempts.inc({ outcome }, 0);
  return (outcome) => attempts.inc({ outcome });
}

/** Like the outbox, they are the same for all processes. */
export function pendingDeliveriesGauge(registry: Registry, measure: () => Promise<number>): void {
  const pending = seldom(measure);
  new Gauge({
    name: 'tasks_webhook_deliveries_pending',
    help: 'Messages to webhooks that have not been delivered yet, counted up to 100000.',
    aggregator: 'max',
    registers: [registry],
    async collect() {
      const now = await pending();
      if (now === undefined) this.remove();
      else this.set(now);
    },
  });
}
