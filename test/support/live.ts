/** The API on a port, for clients that speak HTTP themselves. */
import { expect } from 'vitest';
import type { ProjectId, UserId } from '../../src/db/ids.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { answerOf, dataOf, headersFor, type TestApp, type TestAppOptions, TOKENS, testApp } from './app.js';

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

/** The value of a metric, named as its sample is: with its labels. */
export async function measured({ metrics }: Pick<LiveApp, 'metrics'>, name: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

export async function renamed(
  app: LiveApp,
  id: ProjectId,
  { name, as }: { readonly name: string; readonly as: UserId },
): Promise<void> {
  const document = 'mutation($input: UpdateProjectInput!) { updateProject(input: $input) { errors { message } } }';
  const answer = await app.ask(document, { as, variables: { input: { id, name } } });
  expect(dataOf(answer).updateProject.errors).toEqual([]);
}
