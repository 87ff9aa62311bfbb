/** Expected refusals of mutations, returned as data: the input is invalid, or conflicts with the current state. */
import { Field, InterfaceType, ObjectType, registerEnumType } from 'type-graphql';
import { z } from 'zod';
import { type Id, isId } from '../db/ids.js';
import { countChars, readText, TEXTS, type TextRule } from '../std/text.js';

export enum UserErrorCode {
  BLANK = 'BLANK',
  TOO_SHORT = 'TOO_SHORT',
  TOO_LONG = 'TOO_LONG',
  TAKEN = 'TAKEN',
  LIMIT = 'LIMIT',
  INVALID = 'INVALID',
  NOT_FOUND = 'NOT_FOUND',
  FORBIDDEN = 'FORBIDDEN',
  CONFLICT = 'CONFLICT',
}
registerEnumType(UserErrorCode, {
  name: 'UserErrorCode',
  description: 'Machine-readable code of a UserError.',
  valuesConfig: {
    BLANK: { description: 'A required value is null, or a text without visible characters.' },
    TOO_SHORT: { description: 'A text has too few characters, or a list too few items.' },
    TOO_LONG: { description: 'A text has too many characters.' },
    TAKEN: { description: 'Another object already has this key, name, handle or address.' },
    LIMIT: {
      description:
        'There would be too many: items of a list, labels of a task, relations of a task (at most 100 of each kind), ' +
        'projects of a user, invitations, or webhooks.',
    },
    INVALID: { description: 'A value in the input is invalid for another reason, which the message states.' },
    NOT_FOUND: {
      description:
        'An object named in the input does not exist, is not in the project concerned, or the viewer cannot see it.',
    },
    FORBIDDEN: { description: 'The viewer can see the object but lacks the permission for this change.' },
    CONFLICT: {
      description: 'The input conflicts with the current state, for example because `expectedVersion` does not match.',
    },
  },
});

/** Maximum number of errors in one answer: a list of a hundred bad ids has a hundred faults. */
const MAX_FAULTS = 20;

/**
 * Thrown by a service inside its transaction to refuse a mutation. The write is rolled back and the client reads it in
 * `errors`.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly code: UserErrorCode,
    message: string,
    /** Path of the argument at fault: `['input', 'title']`. */
    readonly path: readonly string[],
    /** With CONFLICT: the current object. */
    readonly current: object | null = null,
    /** Further refusals of the same input. */
    readonly others: readonly Refusal[] = [],
  ) {
    super(message);
  }
}

@InterfaceType({
  description: 'An expected reason why a change was refused. Nothing was changed.',
  resolveType: ({ code }: UserError) => TYPE_NAMES[code],
})
export abstract class UserError {
  @Field(() => UserErrorCode, { description: 'Machine-readable code of the error.' })
  code: UserErrorCode;

  @Field(() => String, { description: 'Human-readable explanation that says what was expected.' })
  message: string;

  @Field(() => [String], { description: 'Path to the argument at fault, starting with `input`.' })
  path: string[];
}

@ObjectType({ implements: UserError, description: 'A value in the input is invalid.', simpleResolvers: true })
export class ValidationError extends UserError {}

@ObjectType({
  implements: UserError,
  description:
    'An object named in the input does not exist, is not in the project concerned, or the viewer cannot see it.',
  simpleResolvers: true,
})
export class NotFoundError extends UserError {}

@ObjectType({
  implements: UserError,
  description: 'The viewer can see the object but lacks the permission for this change.',
  simpleResolvers: true,
})
export class PermissionError extends UserError {}

const TYPE_NAMES: Record<UserErrorCode, string> = {
  BLANK: 'ValidationError',
  TOO_SHORT: 'ValidationError',
  TOO_LONG: 'ValidationError',
  TAKEN: 'ValidationError',
  LIMIT: 'ValidationError',
  INVALID: 'ValidationError',
  NOT_FOUND: 'NotFoundError',
  FORBIDDEN: 'PermissionError',
  CONFLICT: 'ConflictError',
};

/** Runs a mutation. @returns its payload, or one with the refusal in `errors` */
export async function toPayload<P extends object>(run: () => Promise<P>): Promise<P | { errors: object[] }> {
  try {
    return { errors: [], ...(await run()) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { errors: [error, ...error.others].map(userError) };
  }
}

/** The root value of a UserError. */
export function userError({ code, message, path, current }: Refusal): object {
  return { code, message, path: [...path], task: current };
}

/** Parses the input by `schema`. @throws Refusal for the first faulty field, with those of the other fields */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw together(faultsOf(parsed.error, ['input']));
}

/** One refusal that brings the others. @param refusals at least one; those beyond the maximum are left out */
export function together(refusals: readonly Refusal[]): Refusal {
  const [{ code, message, path, current }, ...others] = refusals.slice(0, MAX_FAULTS) as [Refusal, ...Refusal[]];
  return new Refusal(code, message, path, current, others);
}

/** The faults of an input's form, one for each value at fault. @param path of the input */
export function faultsOf({ issues }: z.ZodError, path: readonly string[]): Refusal[] {
  const faults = new Map<string, Refusal>();
  for (const issue of issues) {
    const at = issue.path.join('.');
    if (faults.has(at)) continue;
    faults.set(at, new Refusal(codeOf(issue), issue.message, [...path, ...issue.path.map(String)]));
  }
  return [...faults.values()];
}

function codeOf(issue: z.core.$ZodIssue): UserErrorCode {
  if (issue.code === 'too_small') return UserErrorCode.TOO_SHORT;
  if (issue.code === 'too_big' && issue.origin === 'array') return UserErrorCode.LIMIT;
  if (issue.code === 'custom') return (issue.params?.['code'] as UserErrorCode | undefined) ?? UserErrorCode.INVALID;
  return UserErrorCode.INVALID;
}

/** A fault of a value as Zod keeps it, for `addIssue` and `refine`. */
export function fault(code: keyof typeof UserErrorCode, message: string) {
  return { code: 'custom' as const, message, params: { code } };
}

/** A text, normalized to the form in which it is stored. */
export function textInput(rule: TextRule) {
  return z.string().transform((given, context) => {
    const read = readText(rule, given);
    if ('text' in read) return read.text;
    context.addIssue(fault(read.code, read.fault));
    return z.NEVER;
  });
}

/** An optional text; a text without visible characters becomes null. */
export function optionalTextInput(rule: TextRule) {
  return textInput(rule)
    .nullish()
    .transform((text) => (text === '' ? null : text));
}

/**
 * For updates, followed by `misfit`: a stored text may exceed a limit that was introduced later, and its owner
 * must be able to shorten it.
 */
export function changedTextInput(rule: TextRule) {
  return optionalTextInput({ ...rule, maxChars: Number.POSITIVE_INFINITY });
}

/** Whether a text is within its limit. Stored texts may exceed it: see `misfit`. */
export function fits({ maxChars }: TextRule, given: string | null | undefined): boolean {
  return !given || countChars(given) <= maxChars;
}

/** Why a text is refused that exceeds its limit and is not shorter than the stored one. */
export function misfit(
  rule: TextRule,
  field: string,
  { given, stored }: { given: string | null | undefined; stored: string | null },
): Refusal | undefined {
  if (!given || given === stored || fits(rule, given)) return;
  const chars = countChars(given);
  if (chars < countChars(stored ?? '')) return;
  const message = `expected at most ${rule.maxChars} characters, got ${chars}`;
  return new Refusal(UserErrorCode.TOO_LONG, message, ['input', field]);
}

/** An id of this type. */
export function idInput<P extends string>(prefix: P) {
  return z.custom<Id<P>>(
    (text) => typeof text === 'string' && isId(prefix, text),
    `expected a ${prefix}'s id like ${prefix}_…`,
  );
}

/** For fields that an update can change but not clear: absent means unchanged, `null` is refused. */
export function notNull<T extends z.ZodType>(type: T) {
  return type
    .nullish()
    .refine((value) => value !== null, fault('BLANK', 'cannot be null: omit it or give a value'))
    .transform((value) => value as NonNullable<z.output<T>> | undefined);
}

/** A list of `min` to `max` values. */
export function listInput<T extends z.ZodType>(
  item: T,
  { min, max, what }: { min: number; max: number; what: string },
) {
  return z.array(item).min(min, `expected ${min} to ${max} ${what}`).max(max, `expected at most ${max} ${what}`);
}

/** Description of the field in create inputs. Implemented in idempotency.ts. */
export const IDEMPOTENCY_KEY =
  'A client-chosen key, 1-200 characters. Repeating the mutation with the same key and input within 24 hours returns ' +
  'the object created the first time. Reusing the key with different input returns a ConflictError.';
/** The same of mutations of many objects. */
export const IDEMPOTENCY_KEY_OF_MANY =
  'A client-chosen key, 1-200 characters. Repeating the mutation with the same key and input within 24 hours changes ' +
  'nothing and returns the results of the first time, with the tasks as they are now. Reusing the key with different ' +
  'input returns a ConflictError.';
export const idempotencyKeyInput = textInput(TEXTS.idempotencyKey).nullish();

/** Only referenced through the interface, so they must be passed to the schema explicitly. */
export const userErrorTypes = [ValidationError, NotFoundError, PermissionError];
