/**
 * Maps the subject of a token to a user. A subject that is a user id is that user; any other (`auth0|5f7c…`) is the
 * user with that `subject`. An unknown subject is refused or becomes a user, exactly once, however many requests and
 * processes see it first.
 */

import { eq, or } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import { isId, newId, type UserId } from '../../db/ids.js';
import type { Source } from '../../db/sources.js';
import type { Cache } from '../../engine/cache/index.js';
import type { MainDatabase, Transaction, Transactor } from '../../engine/postgres/index.js';
import { TooManyWrites } from '../../engine/postgres/index.js';
import { unauthenticated } from '../../graphql/errors.js';
import { headerMap } from '../../graphql/http-headers.js';
import type { Identity, TokenSender, VerifiedToken } from '../../graphql/identity.js';
import { toLine } from '../../std/text.js';
import { SECOND } from '../../std/time.js';
import { readEmail, releaseEmail } from './email.js';
import { handleFrom } from './handle.js';
import { userById, userIdBySubject } from './user.loaders.js';
import { MAX_HANDLE_CHARS, MAX_NAME_CHARS, USER_SUBJECT, users } from './user.table.js';

/**
 * All new users are created in one line of the write queue, with the share of one viewer. A flood of them therefore
 * does not block the writes of others.
 */
const NEW_USERS = 'new users';
/** Room in a handle for what distinguishes it from a taken one. */
const SUFFIX_CHARS = 7;

export interface IdentitiesOptions {
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly transactor: Transactor;
  /** What to do with a valid token of an unknown user. */
  readonly unknownUsers: 'refuse' | 'create';
  /** Called before a user is created for a token from this address. @throws RATE_LIMITED */
  readonly admitNewUser: (address: string) => Promise<void>;
}

export class Identities {
  readonly #options: IdentitiesOptions;
  /**
   * Keyed by subject, so that concurrent requests of a new user write once. Bounded by the number of running requests.
   */
  readonly #creating = new Map<string, Promise<UserId>>();

  constructor(options: IdentitiesOptions) {
    this.#options = options;
  }

  /**
   * Later reads of the sender's readSet see a user created here.
   * @throws UNAUTHENTICATED for an unknown subject that does not become a user; RATE_LIMITED or TOO_MANY_WRITES if too
   * many new users are created
   */
  async of(token: VerifiedToken, from: TokenSender): Promise<Identity> {
    const { scopes, expiresAtMs } = token;
    return { userId: await this.#userIdOf(token, from), scopes, expiresAtMs };
  }

  async #userIdOf(token: VerifiedToken, { address, readSet }: TokenSender): Promise<UserId> {
    const { subject } = token;
    const create = this.#options.unknownUsers === 'create';
    if (isId('user', subject)) {
      // No read is needed: an unknown user sees nothing, and gets an error where it matters.
      if (!create || (await this.#read(userById, subject)) !== null) return subject;
    } else {
      if (!USER_SUBJECT.test(subject))
        throw unauthenticated("The token's subject must have 1 to 255 printable ASCII characters.");
      const known = await this.#read(userIdBySubject, subject);
      if (known !== null) return known;
      if (!create) throw unauthenticated('The token is for a user who does not exist.');
    }
    const userId = await this.#create(token, address);
    // Needed even if another request created the row: this request has read that it did not exist.
    if (readSet !== undefined) this.#options.cache.renew(readSet);
    return userId;
  }

  async #read<A extends string, V>(source: Source<A, V>, arg: A): Promise<V> {
    const { cache, db } = this.#options;
    const load = (args: readonly A[], signal: AbortSignal) => source.load(args, db.until(signal));
    const [value] = await cache.readMany({ ...source, load, reentrant: false }, [arg], { viewer: arg });
    return value as V;
  }

  #create(token: VerifiedToken, address: string): Promise<UserId> {
    const known = this.#creating.get(token.subject);
    if (known !== undefined) return known;
    const { admitNewUser, transactor } = this.#options;
    const creating = admitNewUser(address)
      .then(() => transactor.transact((tx) => createUser(tx, token), { viewerId: NEW_USERS }))
      .then(({ value }) => value, rethrowRefusal)
      .finally(() => this.#creating.delete(token.subject));
    this.#creating.set(token.subject, creating);
    return creating;
  }
}

/** Refuses the whole request of a new user. */
function rethrowRefusal(error: unknown): never {
  if (!(error instanceof TooManyWrites)) throw error;
  const headers = headerMap([['retry-after', String(error.extensions.retryAfterMs / SECOND)]]);
  const message = 'Too many new users are being created. Nothing was done: retry in a second.';
  throw new GraphQLError(message, {
    extensions: { ...error.extensions, code: error.code, http: { status: 503, headers } },
  });
}

/**
 * Another process may create the user first; then its user is used. An address that is verified for another user is
 * left out.
 */
async function createUser(tx: Transaction, { subject, profile }: VerifiedToken): Promise<UserId> {
  const own = isId('user', subject);
  const id = own ? subject : newId('user');
  const who = own ? { id } : { id, subject };
  const email = readEmail(profile.email);
  if (email !== undefined) await releaseEmail(tx, email);
  const candidates = handlesFor(profile.handle, id).flatMap((handle) =>
    email === undefined ? [{ handle }] : [{ handle, email, verifiedEmail: email }, { handle }],
  );
  for (const candidate of candidates) {
    const name = toLine(profile.name ?? '', MAX_NAME_CHARS) || candidate.handle;
    const [created] = await tx
      .insert(users)
      .values({ ...who, ...candidate, name })
      .onConflictDoNothing()
      .returning();
    if (created !== undefined) return created.id;
    const [same] = await tx
      .select({ id: users.id })
      .from(users)
      .where(or(eq(users.id, id), eq(users.subject, subject)));
    if (same !== undefined) return same.id;
  }
  throw new Error(`no handle is free for ${id}`);
}

/** In order of preference. A taken handle belongs to another user and is never given to the new one. */
function handlesFor(wanted: string | undefined, id: UserId): string[] {
  const suffix = id.slice(id.indexOf('_') + 1);
  const given = handleFrom(wanted ?? '', MAX_HANDLE_CHARS - SUFFIX_CHARS);
  return [...(given === '' ? [] : [given, `${given}-${suffix.slice(-6)}`]), `user-${suffix}`];
}
