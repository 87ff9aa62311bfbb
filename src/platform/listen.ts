/** Where a server listens, and errors that name the variable at fault. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from './config.js';
import { ConfigError } from './config-error.js';
import type { Address } from './observation-config.js';

/** What listening fails with if the host is not one of this machine's. */
const NO_SUCH_ADDRESS: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL']);

/** What a server listens on, with the names of the variables that say where. */
export interface Place extends Address {
  readonly portName: 'PORT' | 'METRICS_PORT';
  readonly hostName: 'HOST' | 'METRICS_HOST';
}

interface Listener {
  listen(at: { host: string; port: number }): Promise<string>;
}

export function placesOf({ host, port, metricsAddress }: Config): { api: Place; metrics: Place | undefined } {
  const metrics =
    metricsAddress && ({ ...metricsAddress, portName: 'METRICS_PORT', hostName: 'METRICS_HOST' } as const);
  return { api: { host, port, portName: 'PORT', hostName: 'HOST' }, metrics };
}

/** Told at once, and not when the database and the demo data are ready. @throws ConfigError */
export async function requireFreePort(place: Place): Promise<void> {
  const probe = createServer();
  await listenAs(place, async (at) => {
    probe.listen(at);
    await once(probe, 'listening');
  });
  probe.close();
  await once(probe, 'close');
}

/** A server as Fastify makes it. @returns its URL @throws ConfigError if host or port cannot be had */
export function listen(server: Listener, place: Place): Promise<string> {
  return listenAs(place, (at) => server.listen(at));
}

/** @throws ConfigError if host or port cannot be had */
async function listenAs<T>(
  { host: given, port, portName, hostName }: Place,
  open: (at: { host: string; port: number }) => Promise<T>,
): Promise<T> {
  // For the name `localhost`, Fastify opens a server for each of its addresses. All but the first have neither the
  // limits of connections nor WebSockets.
  const host = given === 'localhost' ? '127.0.0.1' : given;
  try {
    return await open({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new ConfigError(`${portName}: expected a free port, but ${port} is in use on ${host}`);
    }
    if (code === undefined || !NO_SUCH_ADDRESS.has(code)) throw error;
    throw new ConfigError(`${hostName}: expected a name or address of this machine, got ${host} (${code})`);
  }
}
