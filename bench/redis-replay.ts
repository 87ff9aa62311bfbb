/**
 * The bytes of a log read, sent over plain sockets. The store's own client needs more CPU for a log read than Redis does, so that one process
 * cannot saturate a server with it; plain sockets can.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { type LogMark, MAX_RECORDS_PER_READ } from '../src/engine/cache/store.js';
import { protocolKey, runKey } from '../src/engine/redis/key-layout.js';

/** The server, the store's group and the position in its log. */
export interface ReplayedLogRead {
  readonly redisUrl: string;
  readonly redis: Redis;
  readonly group: string;
  readonly mark: LogMark;
}

export class LogReadReplay {
  readonly #sockets: readonly Socket[];
  readonly #logRead: Buffer;
  readonly #replyBytes: number;
  readonly #depth: number;

  private constructor(sockets: readonly Socket[], logRead: Buffer, replyBytes: number, depth: number) {
    this.#sockets = sockets;
    this.#logRead = logRead;
    this.#replyBytes = replyBytes;
    this.#depth = depth;
  }

  /** `depth`: log reads that a connection has under way. */
  static async open(what: ReplayedLogRead, connections: number, depth: number): Promise<LogReadReplay> {
    const { hostname, port } = new URL(what.redisUrl);
    const sockets = Array.from({ length: connections }, () => connect(Number(port), hostname).setNoDelay(true));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const logRead = await bytesOf(what);
    const [first] = sockets as [Socket];
    first.write(logRead);
    let replyBytes = 0;
    for (const untilMs = performance.now() + 200; performance.now() < untilMs; ) {
      const [bytes] = (await Promise.race([once(first, 'data'), pause(50)])) as [Buffer?];
      replyBytes += bytes?.length ?? 0;
    }
    return new LogReadReplay(sockets, logRead, replyBytes, depth);
  }

  /** Log reads that were answered within `seconds`. */
  async run(seconds: number): Promise<number> {
    const untilMs = performance.now() + seconds * 1000;
    const answered = this.#sockets.map((socket) => this.#drive(socket, untilMs));
    return (await Promise.all(answered)).reduce((sum, count) => sum + count, 0);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #drive(socket: Socket, untilMs: number): Promise<number> {
    return new Promise((resolve) => {
      let [bytes, answered, sent] = [0, 0, this.#depth];
      const onData = (chunk: Buffer) => {
        bytes += chunk.length;
        const done = Math.floor(bytes / this.#replyBytes);
        bytes -= done * this.#replyBytes;
        answered += done;
        if (performance.now() < untilMs) {
          if (done > 0) socket.write(Buffer.concat(new Array<Buffer>(done).fill(this.#logRead)));
          sent += done;
        } else if (answered === sent) {
          socket.off('data', onData);
          resolve(answered);
        }
      };
      socket.on('data', onData);
      socket.write(Buffer.concat(new Array<Buffer>(this.#depth).fill(this.#logRead)));
    });
  }
}

const pause = (ms: number) => new Promise<[]>((resolve) => setTimeout(resolve, ms, []));

/** As RedisStore.read sends it for no entries and no tags. */
async function bytesOf({ redis, group, mark }: ReplayedLogRead): Promise<Buffer> {
  const run = /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1] ?? '';
  const tagged = { hashTag: `{${group}}` };
  const before = `${mark.epoch}-${mark.sequence - 1}`;
  const commands = [
    ['mget', runKey('ok', tagged, run)],
    ['xread', 'COUNT', String(MAX_RECORDS_PER_READ + 2), 'STREAMS', protocolKey('log', tagged), before],
  ];
  const words = (command: readonly string[]) => command.map((word) => `$${word.length}\r\n${word}\r\n`).join('');
  return Buffer.from(commands.map((command) => `*${command.length}\r\n${words(command)}`).join(''));
}
