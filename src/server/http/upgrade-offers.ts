/**
 * Which offers to change the protocol (`Upgrade`) the server takes: a WebSocket, and nothing else. RFC 9110 lets a server ignore an offer,
 * and clients count on that: curl `--http2` and Java's HttpClient offer `h2c` with their first request and expect a plain answer.
 *
 * Until version 24 Node hands every request with an offer to the listener of `upgrade`, without its body. It asks the request itself whether it
 * is one, after it has read the headers: so this request answers for itself, which works on all versions.
 */
import { IncomingMessage } from 'node:http';

const OFFERED = Symbol('the parser has seen an offer to change the protocol');

/** For `createServer`'s option `IncomingMessage`. */
export class OfferedMessage extends IncomingMessage {
  declare [OFFERED]: boolean | null;

  /** Whether the connection leaves HTTP with this request. */
  get upgrade(): boolean {
    return this[OFFERED] === true && (this.method === 'CONNECT' || offersWebSocket(this));
  }

  /** Called by the constructor, by the parser, and by the server. */
  set upgrade(offered: boolean | null) {
    this[OFFERED] = offered;
  }
}

function offersWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.trim().toLowerCase() === 'websocket';
}
