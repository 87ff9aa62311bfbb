/**
 * Limits the open HTTP connections of this process and of each address. A connection over a limit is closed before a
 * byte of it is read. A connection that becomes a WebSocket is not counted: WebSockets have their own limits
 * (connection-slots.ts).
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpConnectionLimits } from '../../platform/http-connection-limits.js';
import { networkOf } from '../rate-limit/rate-limit.js';
import { Counts } from '../websocket/connection-slots.js';
import type { Full } from './refusal-log.js';

export interface HttpConnectionOptions {
  readonly limits: HttpConnectionLimits;
  /** Whether an address belongs to a trusted proxy. */
  readonly trusts: (address: string) => boolean;
  readonly onRefusal: (full: Full, address: string) => void;
}

export interface HttpConnections {
  /**
   * Closes connections on which nothing was ever sent, such as those that browsers open in advance. Node does not count
   * them as idle, so a server that closes would wait for their clients.
   */
  closeUnused(): void;
}

export function boundConnections(
  server: Server,
  { limits, trusts, onRefusal }: HttpConnectionOptions,
): HttpConnections {
  /** The open connections, each with the network it is counted for. */
  const open = new Map<Socket, string | undefined>();
  const byNetwork = new Counts();
  const full = (network: string | undefined): Full | undefined => {
    if (network !== undefined && byNetwork.of(network) >= limits.maxConnectionsPerAddress) return 'address';
    return open.size >= limits.maxConnections ? 'process' : undefined;
  };
  const leave = (socket: Socket) => {
    const network = open.get(socket);
    if (open.delete(socket) && network !== undefined) byNetwork.remove(network);
  };
  server.on('connection', (socket: Socket) => {
    const { remoteAddress: address } = socket;
    if (address === undefined) return socket.destroy(); // the client has gone
    const network = trusts(address) ? undefined : networkOf(address);
    const reason = full(network);
    if (reason !== undefined) {
      onRefusal(reason, address);
      return socket.destroy();
    }
    open.set(socket, network);
    if (network !== undefined) byNetwork.add(network);
    socket.once('close', () => leave(socket));
  });
  server.on('upgrade', ({ socket }: IncomingMessage) => leave(socket));
  return {
    closeUnused() {
      for (const socket of open.keys()) if (socket.bytesRead === 0) socket.destroy();
    },
  };
}
