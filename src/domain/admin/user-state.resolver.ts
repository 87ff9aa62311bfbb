/** Operators deactivate and reactivate users. */
import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { toPayload } from '../../graphql/user-error.js';
import type { UserService } from '../users/user.service.js';
import {
  DeactivateUserInput,
  DeactivateUserPayload,
  ReactivateUserInput,
  ReactivateUserPayload,
} from '../users/user.type.js';
import { requireAdmin } from './require-admin.js';

@Resolver()
export class UserStateResolver {
  constructor(private readonly service: UserService) {}

  @Mutation(() => DeactivateUserPayload, {
    description:
      'Deactivates a user: every request and open subscription of theirs is refused from now on. Memberships, tasks ' +
      'and comments stay. Requires a token with the scope cache:admin.',
  })
  deactivateUser(
    @Ctx() context: Context,
    @Arg('input', () => DeactivateUserInput, { description: 'The user to deactivate.' }) input: DeactivateUserInput,
  ) {
    requireAdmin(context);
    return toPayload(async () =>
      recordInvalidations(context, await this.service.setState(context, input, 'DEACTIVATED')),
    );
  }

  @Mutation(() => ReactivateUserPayload, {
    description: 'Lets a deactivated user sign in again. Requires a token with the scope cache:admin.',
  })
  reactivateUser(
    @Ctx() context: Context,
    @Arg('input', () => ReactivateUserInput, { description: 'The user to reactivate.' }) input: ReactivateUserInput,
  ) {
    requireAdmin(context);
    return toPayload(async () => recordInvalidations(context, await this.service.setState(context, input, 'ACTIVE')));
  }
}
