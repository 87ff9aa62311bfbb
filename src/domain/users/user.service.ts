/** Writes of users: the viewer's own profile, and whether a user is active. */
import { eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { changedFields } from '../../db/differences.js';
import type { UserId } from '../../db/ids.js';
import { violatesUnique } from '../../db/violations.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { unauthenticated } from '../../graphql/errors.js';
import { idInput, notNull, parseInput, Refusal, textInput, UserErrorCode } from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import { emailInput } from './email.js';
import { MAX_URL_CHARS, USER_HANDLE, type UserRow, type UserState, users } from './user.table.js';
import type { DeactivateUserInput, UpdateProfileInput } from './user.type.js';
import { setUserState } from './user-state.js';

/** Without spaces, so that texts can mention it. */
const handle = textInput(TEXTS.userHandle).refine((text) => USER_HANDLE.test(text), 'expected no spaces');
const avatarUrl = z.string().transform((given, context) => {
  const url = httpsUrl(given);
  if (url !== undefined) return url;
  const message = `expected an https URL of at most ${MAX_URL_CHARS} characters, without user and password`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const updateProfileInput = z.object({
  name: notNull(textInput(TEXTS.userName)),
  handle: notNull(handle),
  avatarUrl: avatarUrl.nullish(),
  email: emailInput.nullish(),
});
const userInput = z.object({ id: idInput('user') });

export class UserService {
  constructor(private readonly transactor: Transactor) {}

  updateProfile(by: Writer, given: UpdateProfileInput) {
    const changes = parseInput(updateProfileInput, given);
    return this.transactor.transact(async (tx) => ({ user: await change(tx, by.viewerId, changes) }), by);
  }

  setState(by: Writer, given: DeactivateUserInput, state: UserState) {
    const { id } = parseInput(userInput, given);
    if (id === by.viewerId && state === 'DEACTIVATED') {
      throw new Refusal(UserErrorCode.INVALID, 'expected another user than the viewer', ['input', 'id']);
    }
    return this.transactor.transact(async (tx) => {
      const user = await setUserState(tx, { id }, state);
      if (user === undefined) throw new Refusal(UserErrorCode.NOT_FOUND, 'there is no such user', ['input', 'id']);
      return { user };
    }, by);
  }
}

async function change(tx: Transaction, id: UserId, changes: z.output<typeof updateProfileInput>): Promise<UserRow> {
  const [user] = await tx.select().from(users).where(eq(users.id, id)).for('no key update');
  if (user === undefined) throw unauthenticated('The token is for a user who does not exist.');
  const different = changedFields(user, changes);
  if (different === undefined) return user;
  try {
    const [updated] = await tx
      .update(users)
      .set({ ...different, ...('email' in different && { verifiedEmail: null }), updatedAt: sql`now()` })
      .where(eq(users.id, id))
      .returning();
    return updated as UserRow;
  } catch (error) {
    if (!violatesUnique(error, 'users_handle_unique')) throw error;
    throw new Refusal(UserErrorCode.TAKEN, `the handle ${changes.handle} is taken`, ['input', 'handle']);
  }
}

/** The URL in its normal form, which is ASCII; undefined if it is none that may be stored. */
function httpsUrl(given: string): string | undefined {
  if (given.length > MAX_URL_CHARS || !URL.canParse(given)) return undefined;
  const { href, protocol, username, password } = new URL(given);
  const isPlain = protocol === 'https:' && username === '' && password === '';
  return isPlain && href.length <= MAX_URL_CHARS ? href : undefined;
}
