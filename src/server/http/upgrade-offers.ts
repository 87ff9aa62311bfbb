/**
 * Accepts only `Upgrade` offers for WebSockets. RFC 9110 lets a server ignore an offer, and clients rely on that: curl
 * `--http2` and Java's HttpClient offer `h2c` with their first request and expect a plain response.
 *
 * Before version 24 Node passes every request with an offer to the `upgrade` listener, without its body. It asks the
 * request object whether it is an upgrade, after reading the headers. This class answers that question, which works on
 * all versions.
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

  /** Called by the constructor, the parser and the server. */
  set upgrade(offered: boolean | null) {
    this[OFFERED] = offered;
  }
}

function offersWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.trim().toLowerCase() === 'websocket';
}
