/**
 * Closes pipelined responses with their connection. A connection sends its responses in the order of their requests.
 * When it closes, Node emits 'close' for the one that is being sent, but not for those behind it, so that what is held
 * until the end of a response would be held for ever.
 *
 * A response that does not end by itself can claim its connection, so that no other response is sent on it.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export class PipelinedResponses {
  readonly #behind = new WeakMap<Socket, Set<ServerResponse>>();
  readonly #claimed = new WeakSet<Socket>();

  /** Emits 'close' for every response whose connection has closed. */
  watch(server: Server): void {
    // Prepended, so that other listeners see whether the connection of a request was closed here.
    server.prependListener('request', ({ socket }, response) => {
      if (this.#claimed.has(socket)) socket.destroy();
      if (response.socket !== null) return; // the first in line has its connection
      const responses = this.#behind.get(socket) ?? this.#begin(socket);
      responses.add(response);
      response.once('close', () => responses.delete(response));
    });
  }

  /** Whether another response of the connection is being sent, or waits. */
  sharesConnection(response: ServerResponse): boolean {
    const { socket } = response.req;
    return response.socket === null || this.#others(response, socket) > 0;
  }

  /** Closes the connection if another request of it has come, and as soon as another one comes. */
  claimConnection(response: ServerResponse): void {
    const { socket } = response.req;
    this.#claimed.add(socket);
    if (this.sharesConnection(response)) socket.destroy();
  }

  /** Whether a response is being sent on the connection, or has claimed it: no other bytes may be written to it. */
  isInUse(socket: Socket): boolean {
    // Node keeps the response that has the connection there. Finding it otherwise would cost each request a listener.
    return this.#claimed.has(socket) || Boolean(Reflect.get(socket, '_httpMessage'));
  }

  /** Number of responses that wait, without this one. */
  #others(response: ServerResponse, socket: Socket): number {
    const responses = this.#behind.get(socket);
    return responses === undefined ? 0 : responses.size - Number(responses.has(response));
  }

  #begin(socket: Socket): Set<ServerResponse> {
    const responses = new Set<ServerResponse>();
    this.#behind.set(socket, responses);
    socket.once('close', () => {
      for (const response of responses) {
        response.destroy();
        response.emit('close');
      }
    });
    return responses;
  }
}
