/** Users as others see them: those who share a project with the viewer. */
import { Arg, Args, ArgsType, Ctx, Field, FieldResolver, ID, Query, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import type { Context } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { COSTS } from '../../graphql/limits.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, PageArgs, pageQuery, type SortValues } from '../../graphql/page.js';
import { isStorable, readComparand } from '../../std/text.js';
import { isEmailVerified, isFoundBy, readEmail } from '../users/email.js';
import { userById, userIdByHandle, userIdByVerifiedEmail } from '../users/user.loaders.js';
import { USER_HANDLE, type UserRow } from '../users/user.table.js';
import { User, UserConnection } from '../users/user.type.js';
import { visibleProjectIds, visibleUser } from './access.js';
import { peopleCounts, peoplePages } from './people.loaders.js';
import { type Membership, membershipsOf, projectsJoinedBy } from './project.loaders.js';

const MAX_SEARCH_CHARS = 100;

@ArgsType()
class UsersArgs extends PageArgs {
  @Field(() => String, {
    nullable: true,
    description:
      'Only users whose handle or name begins with this text, ignoring case. A blank text selects all users. At most ' +
      `${MAX_SEARCH_CHARS} characters.`,
  })
  search?: string | null;
}

@Resolver(() => User)
export class PeopleResolver {
  @Query(() => UserConnection, {
    description:
      'The viewer and everyone who shares a project with the viewer, sorted by name in code point order: uppercase ' +
      'before lowercase.',
    complexity: ({ childComplexity }) => COSTS.people + childComplexity,
  })
  async users(@Ctx() context: Context, @Args(() => UsersArgs) { search: given, ...args }: UsersArgs) {
    const search = searchOf(given);
    const name = `users ${search ?? ''}`;
    const query = pageQuery(args, name, isPosition);
    const projectIds = await visibleProjectIds(context);
    const list = { projectIds, alone: projectIds.length === 0 ? context.viewerId : null, search };
    const points = Math.floor(COSTS.project * projectIds.length);
    if (points > 0) await context.charge?.(points);
    return connection({
      list: name,
      query,
      page: () => context.loaders.load(peoplePages, { ...query, list }),
      nodes: (ids) => context.loaders.loadMany(userById, ids),
      count: () => context.loaders.load(peopleCounts, list),
    });
  }

  @Query(() => User, {
    nullable: true,
    description:
      'Finds a user by id, handle or email; pass exactly one of them. Null if the user does not exist or shares no ' +
      'project with the viewer. An OWNER of any project finds every user by handle, and active users by a verified ' +
      'e-mail address, to add them to it.',
  })
  async user(
    @Ctx() context: Context,
    @Arg('id', () => ID, { nullable: true, description: 'Id of the user.' }) id?: string | null,
    @Arg('handle', () => String, { nullable: true, description: 'Exact handle of the user.' }) handle?: string | null,
    @Arg('email', () => String, {
      nullable: true,
      description:
        "E-mail address of the user, ignoring case: the viewer's own, or for an OWNER of any project the verified " +
        'address of an active user. Null for everyone else, whether or not there is such a user.',
    })
    email?: string | null,
  ): Promise<UserRow | null> {
    exactlyOne({ id, handle, email }, 'id', 'handle', 'email');
    if (isGiven(id)) return visibleUser(context, readId('user', id, 'id'));
    return isGiven(handle) ? userByHandle(context, handle) : userByEmail(context, email as string);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description:
      'E-mail address in lower case. If `emailVerified` is false, the user has stated it. Null if the user has ' +
      'none, or if the viewer is neither the user nor an OWNER of a project that the user has created or joined by ' +
      'accepting an invitation.',
  })
  async email(@Root() user: UserRow, @Ctx() context: Context): Promise<string | null> {
    return (await showsEmail(context, user)) ? user.email : null;
  }

  @FieldResolver(() => Boolean, {
    nullable: true,
    description:
      'Whether an operator or the identity provider has set the e-mail address, so that OWNERs of projects find the ' +
      'user by it. Null if `email` is null.',
  })
  async emailVerified(@Root() user: UserRow, @Ctx() context: Context): Promise<boolean | null> {
    return (await showsEmail(context, user)) ? isEmailVerified(user) : null;
  }
}

async function showsEmail({ loaders, viewerId }: Context, { id, email }: UserRow): Promise<boolean> {
  if (email === null || id === viewerId) return email !== null;
  const owned = ownedBy(await loaders.load(membershipsOf, viewerId));
  if (owned.length === 0) return false;
  const joined = new Set(await loaders.load(projectsJoinedBy, id));
  return owned.some(({ projectId }) => joined.has(projectId));
}

async function userByHandle(context: Context, handle: string): Promise<UserRow | null> {
  const { loaders, viewerId } = context;
  const read = readComparand('line', handle, handle.length);
  if ('fault' in read || !USER_HANDLE.test(read.text)) return null;
  const [id, memberships] = await Promise.all([
    loaders.load(userIdByHandle, read.text),
    loaders.load(membershipsOf, viewerId),
  ]);
  if (id === null) return null;
  if (ownedBy(memberships).length > 0) return loaders.load(userById, id);
  return visibleUser(context, id);
}

/**
 * For a viewer who owns no project, no other user's address is looked up: neither the answer nor its time shows which
 * addresses there are.
 */
async function userByEmail({ loaders, viewerId }: Context, given: string): Promise<UserRow | null> {
  const email = readEmail(given);
  if (email === undefined) return null;
  const [viewer, memberships] = await Promise.all([
    loaders.load(userById, viewerId),
    loaders.load(membershipsOf, viewerId),
  ]);
  if (viewer?.email === email) return viewer;
  if (ownedBy(memberships).length === 0) return null;
  const id = await loaders.load(userIdByVerifiedEmail, email);
  const user = id === null ? null : await loaders.load(userById, id);
  return user !== null && isFoundBy(email, user) ? user : null; // may have changed since the id was read
}

function ownedBy(memberships: readonly Membership[]): Membership[] {
  return memberships.filter(({ role }) => role === 'OWNER');
}

/** @throws BAD_USER_INPUT */
function searchOf(given: string | null | undefined): string | null {
  if (!isGiven(given)) return null;
  const read = readComparand('line', given.trim(), MAX_SEARCH_CHARS);
  if ('fault' in read) throw badUserInput('search', read.fault);
  return read.text === '' ? null : read.text;
}

function isPosition([name, id]: SortValues): boolean {
  return isGiven(name) && isStorable(name) && isId('user', id ?? '');
}
