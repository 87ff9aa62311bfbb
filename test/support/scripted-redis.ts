/** A server that speaks Redis's protocol and answers what a test says: for what a real one answers only by chance. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export type Reply = string | number | null | Error | 'close' | readonly Reply[];

export interface ScriptedRedis {
  readonly port: number;
  /** Closes all connections. */
  drop(): void;
  stop(): Promise<void>;
}

/** `answer`: to each command, its name in capitals, by the number of its connection. An Error is an error reply with its message; `close` closes the connection. */
export async function startScripted(
  answer: (command: readonly string[], connection: number) => Reply,
): Promise<ScriptedRedis> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const connection = ++connections;
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let text = '';
    socket.setEncoding('latin1').on('data', (data) => {
      text += data;
      for (let command = nextCommand(text); command !== undefined; command = nextCommand(text)) {
        text = text.slice(command.length);
        const words = [(command.words[0] ?? '').toUpperCase(), ...command.words.slice(1)];
        const reply = answer(words, connection);
        if (reply === 'close') socket.destroy();
        else if (!socket.destroyed) socket.write(encoded(reply));
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    drop,
    async stop() {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
}

/** An array of bulk strings at the beginning of `text`, if all of it has come. */
function nextCommand(text: string): { words: string[]; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  let at = head[0].length;
  const words: string[] = [];
  for (let i = 0; i < Number(head[1]); i++) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (size === null) return undefined;
    const from = at + size[0].length;
    const to = from + Number(size[1]);
    if (text.length < to + 2) return undefined;
    words.push(text.slice(from, to));
    at = to + 2;
  }
  return { words, length: at };
}

function encoded(reply: Exclude<Reply, 'close'>): string {
  if (reply === null) return '$-1\r\n';
  if (typeof reply === 'number') return `:${reply}\r\n`;
  if (reply instanceof Error) return `-${reply.message}\r\n`;
  if (typeof reply === 'string') return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`;
  return `*${reply.length}\r\n${reply.map((one) => encoded(one as Exclude<Reply, 'close'>)).join('')}`;
}
