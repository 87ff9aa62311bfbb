/** The parts of the demo data that are written by hand: a task whose texts have Markdown, and an open invitation. */
import { randomBytes } from 'node:crypto';

export const EXAMPLE_TASK = {
  title: 'Rehearse restoring a backup',
  description: `The last rehearsal was **three months** ago.

1. Restore last night's backup on a machine of its own.
2. Start one server on it, with a Redis of its own.
3. Compare the counts:

| table | at most |
|---|--:|
| tasks | 1 % fewer |
| comments | 1 % fewer |

See [PostgreSQL's manual](https://www.postgresql.org/docs/current/backup.html).`,
};

export const EXAMPLE_COMMENT = 'Step 3 is `select count(*) from tasks`, on **both** machines.';

export const EXAMPLE_INVITATION = { email: 'grace.hopper@example.com', role: 'MEMBER' as const };

/** In place of the SHA-256 of a token: no token is known, so the invitation cannot be accepted. */
export function hashOfNoToken(): string {
  return randomBytes(32).toString('hex');
}
