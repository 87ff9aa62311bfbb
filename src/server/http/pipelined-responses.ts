/**
 * Closes pipelined responses with their connection. A connection sends its responses in the order of their requests.
 * When it closes, Node emits 'close' for the one that is being sent, but not for those behind it, so that what is held
 * until the end of a response would be held for ever.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Emits 'close' for every response whose connection has closed. */
export function closePipelinedResponses(server: Server): void {
  const behind = new WeakMap<Socket, Set<ServerResponse>>();
  const begin = (socket: Socket) => {
    const responses = new Set<ServerResponse>();
    behind.set(socket, responses);
    socket.once('close', () => {
      for (const response of responses) {
        response.destroy();
        response.emit('close');
      }
    });
    return responses;
  };
  server.on('request', ({ socket }, response) => {
    if (response.socket !== null) return; // the first in line has its connection
    const responses = behind.get(socket) ?? begin(socket);
    responses.add(response);
    response.once('close', () => responses.delete(response));
  });
}
