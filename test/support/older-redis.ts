/** A way to a Redis on which its INFO says that it is version 6: such a server can seldom be installed any more. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface OlderRedis {
  readonly port: number;
  /** Whether it says so. */
  old: boolean;
  /** Ends all connections. */
  hangUp(): void;
  close(): void;
}

export async function olderRedis(port: number): Promise<OlderRedis> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(port, '127.0.0.1');
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    server.on('data', (data) => {
      const reply = data.toString('latin1');
      // As long as before: replies begin with their length.
      client.write(way.old ? reply.replaceAll(/redis_version:\d\./g, 'redis_version:6.') : reply, 'latin1');
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const way: OlderRedis = {
    port: (proxy.address() as AddressInfo).port,
    old: true,
    hangUp,
    close() {
      hangUp();
      proxy.close();
    },
  };
  return way;
}
