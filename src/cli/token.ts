/** `npm run -s token [-- HANDLE]`: prints a token for a user on stdout, and nothing else. Development only. */

import { checkDatabase, checkDriver } from '../database-check.js';
import { DEMO_OWNER, prepareDemo, userIdOf } from '../development/demo/prepare.js';
import { joinServices } from '../development/services.js';
import { ConfigError, readConfig } from '../platform/config.js';
import { createLog } from '../platform/log.js';
import { signToken } from '../server/auth/tokens.js';

try {
  await checkDriver();
  const config = readConfig(process.env);
  if (config.environment === 'production') throw new ConfigError('This command does not create tokens in production.');
  if (config.databaseUrl !== undefined) {
    await checkDatabase(config.databaseUrl, createLog(config.logLevel), { migrates: true });
  }
  const services = await joinServices(config);
  try {
    await prepareDemo(services.databaseUrl);
    const handle = process.argv[2] ?? DEMO_OWNER;
    const userId = await userIdOf(services.databaseUrl, handle);
    if (userId === undefined) throw new Error(`There is no user with the handle ${JSON.stringify(handle)}.`);
    console.log(await signToken({ ...config, ...config.access, tokens: services.tokens }, userId, '12h'));
  } finally {
    await services.stop();
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
