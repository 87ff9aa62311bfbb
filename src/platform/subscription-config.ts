/** The environment settings of WebSockets and subscriptions. Read by config.ts. */
import { z } from 'zod';
import type { SubscriptionLimits } from './subscription-limits.js';

const EXPECTED = 'expected a whole number, at least 1';
const bound = z.coerce.number(EXPECTED).int(EXPECTED).min(1, EXPECTED).optional();

export const subscriptionVariables = {
  MAX_WEBSOCKETS: bound,
  MAX_WEBSOCKETS_PER_ADDRESS: bound,
  MAX_WEBSOCKETS_PER_VIEWER: bound,
  MAX_WEBSOCKETS_UNAUTHENTICATED: bound,
  MAX_WEBSOCKETS_UNAUTHENTICATED_PER_ADDRESS: bound,
  MAX_SUBSCRIPTIONS_PER_VIEWER: bound,
  MAX_LIVE_QUERIES: bound,
};

const variables = z.object(subscriptionVariables);

/** Only the limits that are set; the others have the defaults of subscription-limits.ts. */
export function subscriptionConfig(v: z.output<typeof variables>): Partial<SubscriptionLimits> {
  const named: Partial<Record<keyof SubscriptionLimits, number | undefined>> = {
    maxConnections: v.MAX_WEBSOCKETS,
    maxConnectionsPerAddress: v.MAX_WEBSOCKETS_PER_ADDRESS,
    maxConnectionsPerViewer: v.MAX_WEBSOCKETS_PER_VIEWER,
    maxUnauthenticated: v.MAX_WEBSOCKETS_UNAUTHENTICATED,
    maxUnauthenticatedPerAddress: v.MAX_WEBSOCKETS_UNAUTHENTICATED_PER_ADDRESS,
    maxSubscriptionsPerViewer: v.MAX_SUBSCRIPTIONS_PER_VIEWER,
    maxLiveQueries: v.MAX_LIVE_QUERIES,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}
