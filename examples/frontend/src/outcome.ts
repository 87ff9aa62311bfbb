/** How a change ended. Refusals are data of the answer, not errors: each has a kind, and a text for people. */
import type { RefusalFragment } from './gql/graphql.js';
import { type FragmentType, readFragment } from './gql/index.js';
import { Refusal, TaskRow } from './operations.js';

/** What a change made, or why nothing was done. */
export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly why: readonly string[] };

export function outcomeOf<T>(
  value: T | null | undefined,
  errors: readonly FragmentType<typeof Refusal>[] = [],
): Outcome<T> {
  if (value !== null && value !== undefined) return { kind: 'done', value };
  return { kind: 'refused', why: readFragment(Refusal, errors).map(explain) };
}

function explain(refusal: RefusalFragment): string {
  switch (refusal.__typename) {
    case 'ConflictError': {
      const task = readFragment(TaskRow, refusal.task);
      return task ? `Meanwhile it became “${task.title}”, version ${task.version}.` : refusal.message;
    }
    case 'ValidationError':
      return `${refusal.path.join('.')}: ${refusal.message}`;
    case 'NotFoundError':
    case 'PermissionError':
      return refusal.message;
    default: // a kind that the server has learned since: every UserError has a message
      return (refusal as { message: string }).message;
  }
}
