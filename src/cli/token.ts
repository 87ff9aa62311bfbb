/** `tasks token`: signs an access token for a user. Development only. */

import { checkDatabase, checkDriver } from '../database-check.js';
import { prepareDemo, userIdOf } from '../development/demo/prepare.js';
import { joinServices } from '../development/services.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { createLog } from '../platform/log.js';
import { signToken } from '../server/auth/tokens.js';

export async function makeToken(handle: string): Promise<string> {
  await checkDriver();
  const config = readConfig(process.env);
  if (config.environment === 'production') throw new ConfigError('This command does not create tokens in production.');
  if (config.databaseUrl !== undefined) {
    await checkDatabase(config.databaseUrl, createLog(config.logLevel), { migrates: true });
  }
  const services = await joinServices(config);
  try {
    await prepareDemo(services);
    const userId = await userIdOf(services.databaseUrl, handle);
    if (userId === undefined) throw new Error(`There is no user with the handle ${JSON.stringify(handle)}.`);
    return await signToken({ ...config, ...config.access, tokens: services.tokens }, userId, '12h');
  } finally {
    await services.stop();
  }
}
