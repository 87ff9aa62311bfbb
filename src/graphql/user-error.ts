/** Expected refusals of a mutation, answered as data: what was wrong with the input, or with the moment. */
import { Field, InterfaceType, ObjectType, registerEnumType } from 'type-graphql';
import { z } from 'zod';
import { type Id, isId } from '../db/ids.js';
import { countChars, readText, TEXTS, type TextRule } from '../std/text.js';

export enum UserErrorCode {
  INVALID = 'INVALID',
  NOT_FOUND = 'NOT_FOUND',
  FORBIDDEN = 'FORBIDDEN',
  CONFLICT = 'CONFLICT',
}
registerEnumType(UserErrorCode, {
  name: 'UserErrorCode',
  description: 'What kind of refusal a UserError is.',
  valuesConfig: {
    INVALID: { description: 'A value of the input is not acceptable.' },
    NOT_FOUND: { description: 'Something the input names does not exist, or not for the viewer.' },
    FORBIDDEN: { description: 'The viewer may see the object but not do this to it.' },
    CONFLICT: { description: 'The object is not in the state that the input assumes.' },
  },
});

/** In one answer: a list of a hundred bad ids is a hundred faults. */
const MAX_FAULTS = 20;

/** What a service throws inside its transaction to refuse: the write is rolled back, the client reads it in `errors`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly code: UserErrorCode,
    message: string,
    /** Of the argument at fault: `['input', 'title']`. */
    readonly path: readonly string[],
    /** With CONFLICT: the object as it is now. */
    readonly current: object | null = null,
    /** Other refusals of the same input. */
    readonly others: readonly Refusal[] = [],
  ) {
    super(message);
  }
}

@InterfaceType({
  description: 'Why a mutation did nothing.',
  resolveType: ({ code }: UserError) => TYPE_NAMES[code],
})
export abstract class UserError {
  @Field(() => UserErrorCode, { description: 'For programs.' })
  code: UserErrorCode;

  @Field(() => String, { description: 'For people: what was expected.' })
  message: string;

  @Field(() => [String], { description: 'The argument at fault, from `input` on.' })
  path: string[];
}

@ObjectType({ implements: UserError, description: 'A value of the input is not acceptable.', simpleResolvers: true })
export class ValidationError extends UserError {}

@ObjectType({
  implements: UserError,
  description: 'Something the input names does not exist, or not for the viewer.',
  simpleResolvers: true,
})
export class NotFoundError extends UserError {}

@ObjectType({
  implements: UserError,
  description: 'The viewer may see the object but not do this to it.',
  simpleResolvers: true,
})
export class PermissionError extends UserError {}

const TYPE_NAMES: Record<UserErrorCode, string> = {
  INVALID: 'ValidationError',
  NOT_FOUND: 'NotFoundError',
  FORBIDDEN: 'PermissionError',
  CONFLICT: 'ConflictError',
};

/** Runs a mutation: its payload, or the same payload with its refusal in `errors`. */
export async function toPayload<P extends object>(run: () => Promise<P>): Promise<P | { errors: object[] }> {
  try {
    return { errors: [], ...(await run()) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { errors: [error, ...error.others].map(userError) };
  }
}

/** The root value of the refusal's UserError. */
export function userError({ code, message, path, current }: Refusal): object {
  return { code, message, path: [...path], task: current };
}

/** The input as `schema` reads it. @throws Refusal INVALID for the first field at fault, with those of all other fields. */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const faults = new Map<string, z.core.$ZodIssue>();
  for (const issue of parsed.error.issues) {
    const path = issue.path.join('.');
    if (faults.size < MAX_FAULTS && !faults.has(path)) faults.set(path, issue);
  }
  const [first, ...others] = faults.values();
  throw invalid(
    first,
    others.map((issue) => invalid(issue)),
  );
}

function invalid(issue: z.core.$ZodIssue | undefined, others: readonly Refusal[] = []): Refusal {
  const path = ['input', ...(issue?.path ?? []).map(String)];
  return new Refusal(UserErrorCode.INVALID, issue?.message ?? 'not acceptable', path, null, others);
}

/** A text as it is stored. */
export function textInput(rule: TextRule) {
  return z.string().transform((given, context) => {
    const read = readText(rule, given);
    if ('text' in read) return read.text;
    context.addIssue(read.fault);
    return z.NEVER;
  });
}

/** A text that may be missing: one in which nothing is visible is none. */
export function optionalTextInput(rule: TextRule) {
  return textInput(rule)
    .nullish()
    .transform((text) => (text === '' ? null : text));
}

/**
 * For updates, with `requireFits` behind it: a stored text may be longer than a limit that came later, and its owner must be able
 * to shorten it.
 */
export function changedTextInput(rule: TextRule) {
  return optionalTextInput({ ...rule, maxChars: Number.POSITIVE_INFINITY });
}

/** @throws Refusal when a text is over its limit and not shorter than the stored one. */
export function requireFits(
  { maxChars }: TextRule,
  field: string,
  { given, stored }: { given: string | null | undefined; stored: string | null },
): void {
  if (!given || given === stored) return;
  const chars = countChars(given);
  if (chars <= maxChars || chars < countChars(stored ?? '')) return;
  throw new Refusal(UserErrorCode.INVALID, `expected at most ${maxChars} characters, got ${chars}`, ['input', field]);
}

/** An id of the given kind in an input. */
export function idInput<P extends string>(prefix: P) {
  return z.custom<Id<P>>(
    (text) => typeof text === 'string' && isId(prefix, text),
    `expected a ${prefix}'s id like ${prefix}_…`,
  );
}

/** For what an update can change and not clear: absent is unchanged, `null` is refused. */
export function notNull<T extends z.ZodType>(type: T) {
  return type
    .nullish()
    .refine((value) => value !== null, 'cannot be cleared: leave it out, or give a value')
    .transform((value) => value as NonNullable<z.output<T>> | undefined);
}

/** `min` to `max` different values. */
export function listInput<T extends z.ZodType>(
  item: T,
  { min, max, what }: { min: number; max: number; what: string },
) {
  return z.array(item).min(min, `expected at least ${min} of ${what}`).max(max, `expected at most ${max} ${what}`);
}

/** Describes the field of inputs that create; what it does: idempotency.ts. */
export const IDEMPOTENCY_KEY =
  'A client-chosen key, 1-200 characters. Repeating the mutation with the same key and input within 24 hours returns the object created ' +
  'the first time; with another input it is refused.';
export const idempotencyKeyInput = textInput(TEXTS.idempotencyKey).nullish();

/** Only reachable through the interface, so the schema must be told of them. */
export const userErrorTypes = [ValidationError, NotFoundError, PermissionError];
