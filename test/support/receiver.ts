/** An HTTP server that webhooks send to: it keeps what comes, and a test decides the response. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // What tests expect of a message is asserted.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly json: any;
}

export type Reply = (received: Received, response: ServerResponse) => void;

const accept: Reply = (_, response) => response.end('thanks');

export class Receiver {
  readonly received: Received[] = [];
  /** Answers each request. */
  reply: Reply = accept;
  readonly #server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const received = { headers: request.headers, text, json: JSON.parse(text) };
      this.received.push(received);
      this.reply(received, response);
    });
  });

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** Forgets what came, and accepts again. */
  reset(): void {
    this.received.length = 0;
    this.reply = accept;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export const failing: Reply = (_, response) => response.writeHead(500).end('no\0t now');
