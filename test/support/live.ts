/** The API on a port, for clients that speak HTTP themselves. */
import type { UserId } from '../../src/db/ids.js';
import { signToken } from '../../src/tokens.js';
import { type TestApp, type TestAppOptions, TOKENS, testApp } from './app.js';

export interface LiveApp extends TestApp {
  /** Of the server, without a path. */
  readonly origin: string;
  /** Of the API. */
  readonly url: string;
  tokenOf(user: UserId): Promise<string>;
}

export async function liveApp(options: TestAppOptions = {}): Promise<LiveApp> {
  const app = await testApp(options);
  const origin = await app.server.listen({ port: 0, host: '127.0.0.1' });
  return { ...app, origin, url: `${origin}/graphql`, tokenOf: (user) => signToken(TOKENS, user, '1h') };
}
