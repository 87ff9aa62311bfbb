/** A proxy in front of Postgres that loses the answer to a COMMIT: the server has committed, the client never hears of it. */
import { createConnection, createServer, type Socket } from 'node:net';

export interface BreakableProxy {
  readonly url: string;
  /** The next connection to send COMMIT is cut when the server answers it. */
  loseNextCommit(): void;
  /** From now on connections stay open and nothing passes, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** From now on new connections are to this database, whichever they ask for. Its name has as many characters as that one's. */
  leadTo(database: string): void;
  /** Ends all connections of now, without a word. */
  cut(): void;
  close(): Promise<void>;
}

// A Parse message: its length, the statement's name, which is empty where nothing is prepared, its text.
const PARSE_COMMIT = /P[\s\S]{4}(\w*)\0commit\0/i;

export async function breakableProxy(databaseUrl: string): Promise<BreakableProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let armed = false;
  let frozen = false;
  let database: string | undefined;
  const server = createServer((client) => {
    const upstream = createConnection({ host: target.hostname, port: Number(target.port || 5432) });
    let cutting = false;
    let named = database; // until it is in the first message
    /** The driver prepares COMMIT like any statement, and names it from then on. */
    let prepared: string | undefined;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}); // the other end is closed below
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    if (frozen) client.pause();
    client.on('data', (data) => {
      const text = data.toString('latin1');
      const parsed = PARSE_COMMIT.exec(text)?.[1];
      prepared = parsed || prepared;
      const commits = parsed !== undefined || (prepared !== undefined && text.includes(`\0${prepared}\0`));
      if (armed && commits) {
        armed = false;
        cutting = true;
      }
      const asked = `\0database\0${target.pathname.slice(1)}\0`;
      upstream.write(named === undefined ? data : Buffer.from(text.replace(asked, `\0database\0${named}\0`), 'latin1'));
      named = undefined;
    });
    upstream.on('data', (data) => {
      if (cutting) client.destroy();
      else client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
  const url = new URL(databaseUrl);
  url.port = String(address.port);
  return {
    url: url.href,
    loseNextCommit() {
      armed = true;
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    leadTo(name) {
      database = name;
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
