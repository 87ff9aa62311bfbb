/**
 * `tasks user`: creates a user, and prints a token for it if this installation signs its own; sets a verified e-mail
 * address; deactivates a user.
 */
import { z } from 'zod';
import { checkDriver } from '../database-check.js';
import { type CreatedUser, createUser, type NewUser } from '../domain/projects/create-user.js';
import { PROJECT_KEY } from '../domain/projects/project.table.js';
import { emailInput, readEmail, setVerifiedEmail } from '../domain/users/email.js';
import { MAX_NAME_CHARS, USER_HANDLE, USER_SUBJECT, type UserState } from '../domain/users/user.table.js';
import { setUserState } from '../domain/users/user-state.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { signToken, type TokenOptions } from '../server/auth/tokens.js';
import { withCore } from './with-core.js';

export interface UserArguments {
  readonly handle: string;
  /** Default: the handle. */
  readonly name?: string | undefined;
  readonly subject?: string | undefined;
  readonly email?: string | undefined;
  /** A project's key. */
  readonly ownerOf?: string | undefined;
}

const userArguments = z.object({
  handle: z.string().regex(USER_HANDLE, 'expected 1 to 64 characters without white space'),
  name: z
    .string()
    .trim()
    .min(1, 'expected a name')
    .max(MAX_NAME_CHARS, `expected at most ${MAX_NAME_CHARS} characters`),
  subject: z.string().regex(USER_SUBJECT, 'expected 1 to 255 printable ASCII characters').optional(),
  email: emailInput.optional(),
  ownerOf: z.string().regex(PROJECT_KEY, 'expected 2 to 10 capital letters or digits, a letter first').optional(),
});
const SHOWN = { handle: 'the handle', name: '--name', subject: '--subject', email: '--email', ownerOf: '--owner-of' };

interface NewUserReport {
  /** For people. */
  readonly summary: string;
  /** Absent if tokens are issued elsewhere. */
  readonly token: string | undefined;
}

export async function createUserByCommand(given: UserArguments): Promise<NewUserReport> {
  const user = parse(given);
  await checkDriver();
  const config = readConfig(process.env);
  return withCore(config, async ({ transactor }, { tokens }) => {
    const { value } = await transactor.transact((tx) => createUser(tx, user));
    return reportOf(user, value, { ...config, ...config.access, tokens });
  });
}

/** @returns what was done, for people. @throws Error if there is no such user */
export async function setStateByCommand(handle: string, state: UserState): Promise<string> {
  await checkDriver();
  return withCore(readConfig(process.env), async ({ transactor }) => {
    const { value: user } = await transactor.transact((tx) => setUserState(tx, { handle }, state));
    if (user === undefined) throw noUser(handle);
    return `The user ${handle} (${user.id}) is ${state === 'ACTIVE' ? 'active' : 'deactivated'}.`;
  });
}

/**
 * @param address the address, verified by this; null removes it
 * @returns what was done, for people
 * @throws Error if there is no such user or the address is another user's
 */
export async function setEmailByCommand(handle: string, address: string | null): Promise<string> {
  const email = address === null ? null : readEmail(address);
  if (email === undefined) throw new ConfigError('the address: expected an e-mail address like ada@example.com');
  await checkDriver();
  return withCore(readConfig(process.env), async ({ transactor }) => {
    const { value: user } = await transactor.transact((tx) => setVerifiedEmail(tx, handle, email));
    if (user === undefined) throw noUser(handle);
    const has = email === null ? 'no e-mail address' : `the verified e-mail address ${email}`;
    return `The user ${handle} (${user.id}) has ${has}.`;
  });
}

function noUser(handle: string): Error {
  return new Error(`the handle: there is no user ${JSON.stringify(handle)}`);
}

/** @throws ConfigError that names every argument that is wrong */
function parse(given: UserArguments): NewUser {
  const parsed = userArguments.safeParse({ ...given, name: given.name ?? given.handle });
  if (parsed.success) return { subject: undefined, ownerOf: undefined, ...parsed.data };
  const faults = parsed.error.issues.map(({ path, message }) => `${SHOWN[path[0] as keyof typeof SHOWN]}: ${message}`);
  throw new ConfigError(faults.join('\n'));
}

async function reportOf(
  { handle, subject, ownerOf }: NewUser,
  { id, projectCreated }: CreatedUser,
  options: TokenOptions,
): Promise<NewUserReport> {
  const project = ownerOf === undefined ? '' : `, OWNER of the ${projectCreated ? 'new ' : ''}project ${ownerOf}`;
  const created = `Created the user ${handle} (${id})${project}.`;
  if (options.tokens.kind === 'secret') return { summary: created, token: await signToken(options, id, '12h') };
  return { summary: `${created}\nThe subject of its tokens: ${subject ?? id}`, token: undefined };
}
