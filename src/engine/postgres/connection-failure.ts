/** Why a server could not be reached, or why it refused the connection, in one line for the operator. */
import type { Connection } from './connection-url.js';

/** The oldest version with `idle_session_timeout`. */
export const MIN_VERSION = 14;

const itself = (_: Connection, { message }: Failure) => String(message);

/** By error code of the driver, node:net, node:tls or Postgres. */
const WORDS: Readonly<Record<string, string | ((to: Connection, error: Failure) => string)>> = {
  ECONNREFUSED: 'no server listens there',
  ENOENT: 'there is no such socket: no server listens there',
  EACCES: 'this user may not use the socket',
  ENOTFOUND: ({ host }) => `there is no host ${JSON.stringify(host)}`,
  EAI_AGAIN: ({ host }) => `the name ${JSON.stringify(host)} cannot be resolved now`,
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'it does not answer',
  CONNECT_TIMEOUT: ({ connectTimeoutS }) => `it does not answer within ${connectTimeoutS} s`,
  CONNECTION_CLOSED: 'it closes the connection',
  ECONNRESET: ({ tls }, { message }) =>
    tls !== false && /TLS/.test(message ?? '')
      ? 'it offers no TLS, which sslmode asks for'
      : 'it closes the connection',
  '28P01': ({ user }, { message }) =>
    user === undefined ? String(message) : `the password of the user ${JSON.stringify(user)} is wrong`,
  // No entry in pg_hba.conf, no such database, no right to connect, starting up, too many connections: Postgres's own
  // message names the cause.
  '28000': itself,
  '3D000': itself,
  '42501': itself,
  '57P03': itself,
  '53300': itself,
  // An unknown startup parameter: 42704 from an old server, 08P01 from a pooler.
  '42704': `it is older than PostgreSQL ${MIN_VERSION}`,
  '08P01': (_, { message }) =>
    /startup parameter/.test(message ?? '')
      ? 'a pooler is in between: add pgbouncer=true to the URL'
      : `it answers: ${message}`,
};

interface Failure {
  readonly code?: unknown;
  readonly message?: string;
}

/** @returns undefined if the error does not concern connecting */
export function connectionFailure(error: unknown, to: Connection): string | undefined {
  const failure = (error ?? {}) as Failure;
  const code = String(failure.code);
  const words =
    WORDS[code] ?? (isOfCertificate(code) ? `its certificate is not accepted: ${failure.message}` : undefined);
  if (words === undefined) return undefined;
  const server = to.socketPath ?? (to.host.includes(':') ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`);
  return `Postgres at ${server}: ${typeof words === 'string' ? words : words(to, failure)}`;
}

function isOfCertificate(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_|TLS|SSL/.test(code);
}
