/** Global object identification: the interface of all objects with an id. */
import { Field, ID, InterfaceType } from 'type-graphql';
import { type Id, idPrefix, isId } from '../db/ids.js';
import { quoted } from '../std/text.js';
import { badUserInput } from './errors.js';

const TYPE_NAMES: Record<string, string> = {
  user: 'User',
  project: 'Project',
  task: 'Task',
  label: 'Label',
  comment: 'Comment',
};

@InterfaceType({
  description: 'An object with a globally unique id, which Query.node finds.',
  resolveType: ({ id }: Node) => TYPE_NAMES[idPrefix(id) ?? ''],
})
export abstract class Node {
  @Field(() => ID, { description: 'Globally unique id. Its prefix names the type, for example task_….' })
  id: Id;
}

/** @throws BAD_USER_INPUT if `text` is not an id of this type */
export function readId<P extends string>(prefix: P, text: string, argument: string): Id<P> {
  if (!isId(prefix, text))
    throw badUserInput(argument, `expected a ${prefix}'s id like ${prefix}_…, got ${quoted(text)}`);
  return text;
}

/** @throws BAD_USER_INPUT unless exactly one of these arguments is given */
export function exactlyOne<A extends object>(args: A, one: keyof A & string, ...others: (keyof A & string)[]): void {
  const given = [one, ...others].filter((name) => isGiven(args[name]));
  if (given.length === 1) return;
  const names = [[one, ...others.slice(0, -1)].join(', '), ...others.slice(-1)].join(' and ');
  throw badUserInput(one, `expected exactly one of ${names}`);
}

export function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}
