/** `tasks token`: signs an access token for a user. Development only. */

import { checkDriver } from '../database-check.js';
import { userIdOf } from '../development/demo/prepare.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { signToken } from '../server/auth/tokens.js';
import { withServices } from './with-services.js';

export async function makeToken(handle: string): Promise<string> {
  await checkDriver();
  const config = readConfig(process.env);
  if (config.environment === 'production') throw new ConfigError('This command does not create tokens in production.');
  return withServices(config, async ({ databaseUrl, tokens }) => {
    const userId = await userIdOf(databaseUrl, handle);
    if (userId === undefined) throw new Error(`There is no user with the handle ${JSON.stringify(handle)}.`);
    return signToken({ ...config, ...config.access, tokens }, userId, '12h');
  });
}
