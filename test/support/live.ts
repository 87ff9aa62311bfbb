/** The API on a port, for clients that speak HTTP themselves. */
import type { UserId } from '../../src/db/ids.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { answerOf, headersFor, type TestApp, type TestAppOptions, TOKENS, testApp } from './app.js';

export interface LiveApp extends TestApp {
  /** Of the server, without a path. */
  readonly origin: string;
  /** Of the API. */
  readonly url: string;
  tokenOf(user: UserId, ...scopes: string[]): Promise<string>;
}

export async function liveApp(options: TestAppOptions = {}): Promise<LiveApp> {
  const app = await testApp(options);
  const origin = await app.server.listen({ port: 0, host: '127.0.0.1' });
  const url = `${origin}/graphql`;
  return {
    ...app,
    origin,
    url,
    tokenOf: (user, ...scopes) => signToken({ ...TOKENS, scopes }, user, '1h'),
    async ask(document, options = {}) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...(await headersFor(options)), 'content-type': 'application/json' },
        body: JSON.stringify({ query: document, variables: options.variables }),
      });
      return answerOf(response.status, (await response.json()) as Parameters<typeof answerOf>[1]);
    },
  };
}
