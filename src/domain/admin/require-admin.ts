/** Who may use the operator API. */
import type { Context } from '../../graphql/context.js';
import { forbidden } from '../../graphql/errors.js';

/** The word in a token's `scope` claim that grants access. */
const ADMIN_SCOPE = 'cache:admin';

/** @throws FORBIDDEN */
export function requireAdmin(context: Context): void {
  const { scopes } = context.markUncacheable();
  if (!scopes.includes(ADMIN_SCOPE)) throw forbidden(`This requires a token with the scope ${ADMIN_SCOPE}.`);
}
