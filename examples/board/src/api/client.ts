/** urql without a cache: a live answer is always current, so nothing has to be kept, merged or invalidated here. */
import type { Client as Socket } from 'graphql-ws';
import { Client, fetchExchange } from 'urql';
import { liveExchange } from './live-exchange.js';
import { openSocket } from './socket.js';

const API_URL: string = import.meta.env['VITE_API_URL'] || 'http://localhost:4000/graphql';

export interface Api {
  readonly client: Client;
  readonly socket: Socket;
}

/** @param refused the token is not accepted, or no longer */
export function connect(token: string, refused: () => void): Api {
  const socket = openSocket(API_URL, token, refused);
  const client = new Client({
    url: API_URL,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [liveExchange(socket), fetchExchange],
  });
  return { client, socket };
}
