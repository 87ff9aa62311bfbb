/** What the server's tokens are made and verified with, and the token that the demo prints. */
import { DEMO_OWNER } from './development/demo/owner.js';
import type { Services } from './development/services.js';
import type { Config } from './platform/config.js';
import type { Log } from './platform/log.js';
import { signToken, type TokenOptions } from './server/auth/tokens.js';

/** The demo token is an operator's, too: the console shows everything. */
const DEMO_SCOPES = ['cache:admin', 'cache:trace'];

export function tokenOptions(config: Config, services: Services, log: Log): TokenOptions {
  return {
    tokens: services.tokens,
    issuer: config.issuer,
    audience: config.audience,
    algorithms: config.access.algorithms,
    keySet: { onFailure: (error) => log.warn({ err: error }, 'the token keys could not be fetched') },
  };
}

export async function demoToken(databaseUrl: string, tokens: TokenOptions): Promise<string | undefined> {
  if (tokens.tokens.kind !== 'secret') return undefined;
  const { userIdOf } = await import('./development/demo/prepare.js');
  const owner = await userIdOf(databaseUrl, DEMO_OWNER);
  return owner && (await signToken({ ...tokens, scopes: DEMO_SCOPES }, owner, '12h'));
}
