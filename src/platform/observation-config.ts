/** The environment settings of what an operator watches: the address of the metrics, and what counts as slow. */
import { z } from 'zod';

const PORT = 'expected a port, 0 to 65535';
const MS = 'expected a whole number of ms, 0 for none';

const ms = (otherwise: number) => z.coerce.number(MS).int(MS).min(0, MS).default(otherwise);

export const observationVariables = {
  METRICS_PORT: z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT).optional(),
  METRICS_HOST: z.string().min(1, 'expected a host name or address').optional(),
  SLOW_OPERATION_MS: ms(1000),
  SLOW_STATEMENT_MS: ms(500),
};

const variables = z.object(observationVariables);
type Variables = z.output<typeof variables>;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ObservationConfig {
  /** Where metrics are served without a token. Absent: nowhere. */
  readonly metricsAddress: Address | undefined;
  /** Requests that take as long are logged, ms. 0: none. */
  readonly slowOperationMs: number;
  /** SQL statements that take as long are logged, ms. 0: none. */
  readonly slowStatementMs: number;
}

/** @param host of the server, where the metrics are, too, unless METRICS_HOST says otherwise */
export function observationConfig(v: Variables, host: string): ObservationConfig {
  return {
    metricsAddress: v.METRICS_PORT === undefined ? undefined : { host: v.METRICS_HOST ?? host, port: v.METRICS_PORT },
    slowOperationMs: v.SLOW_OPERATION_MS,
    slowStatementMs: v.SLOW_STATEMENT_MS,
  };
}

/** @param server where the API is */
export function observationFaults(v: Variables, server: Address): string[] {
  const { metricsAddress: at } = observationConfig(v, server.host);
  const isSame = at !== undefined && at.port > 0 && at.port === server.port && at.host === server.host;
  return isSame ? ['METRICS_PORT: expected another port than PORT'] : [];
}
