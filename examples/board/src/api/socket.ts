/** The WebSocket of all live queries. It is opened again until it works, also where its end does not show by itself. */
import { CloseCode, createClient, type Client as Socket } from 'graphql-ws';

/** How often the connection is tested, and how long an answer to that may take. */
const PING_MS = 5_000;
const MAX_RETRY_MS = 5_000;

/** @param refused the token is not accepted, or no longer */
export function openSocket(url: string, token: string, refused: () => void): Socket {
  let deadline: ReturnType<typeof setTimeout>;
  const socket = createClient({
    url: url.replace(/^http/, 'ws'),
    connectionParams: { authorization: `Bearer ${token}` },
    lazyCloseTimeout: 1_000, // one connection for the queries of one view and of the next
    keepAlive: PING_MS,
    connectionAckWaitTimeout: PING_MS,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: (reason) => !isRefusal(reason),
    retryWait,
    on: {
      ping(received) {
        if (!received) deadline = setTimeout(() => socket.terminate(), PING_MS);
      },
      pong: () => clearTimeout(deadline),
      closed(event) {
        clearTimeout(deadline);
        if (isRefusal(event)) refused();
      },
    },
  });
  return socket;
}

function isRefusal(reason: unknown): boolean {
  const { code } = reason as { code?: unknown };
  return code === CloseCode.Forbidden || code === CloseCode.Unauthorized;
}

/** Doubles up to some seconds, spread so that not all clients of a restarted server come at once. */
function retryWait(retries: number): Promise<void> {
  const ms = Math.min(MAX_RETRY_MS, 250 * 2 ** retries) * (0.5 + Math.random() / 2);
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    addEventListener('online', () => resolve(clearTimeout(timer)), { once: true });
  });
}
