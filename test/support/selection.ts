/**
 * Everything of a type that can be asked for, as a document: every field without a required argument, lists cut short, objects
 * within objects to a depth. Made from the schema, so that a new field is asked for without anybody thinking of it.
 */
import {
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  isRequiredArgument,
} from 'graphql';

type Fielded = GraphQLObjectType | GraphQLInterfaceType;

/** Of each list. */
const FIRST = 2;

export interface Asked {
  /** `query` or `mutation`. */
  readonly kind: string;
  readonly field: string;
  /** `id: $id`; empty for none. */
  readonly args: string;
  /** `$id: ID!`; empty for none. */
  readonly variables: string;
  /** How many objects within objects. */
  readonly depth: number;
}

/** The operation that asks one root field for everything. */
export function fullDocument(schema: GraphQLSchema, { kind, field, args, variables, depth }: Asked): string {
  const root = kind === 'mutation' ? schema.getMutationType() : schema.getQueryType();
  const definition = root?.getFields()[field] as GraphQLField<unknown, unknown>;
  const fragments = new Map<string, string>();
  const selection = selectionOf(schema, definition, depth, fragments);
  const head = `${kind}${variables && `(${variables})`} { ${field}${args && `(${args})`} ${selection} }`;
  return [head, ...fragments.values()].join('\n');
}

function selectionOf(
  schema: GraphQLSchema,
  { type }: GraphQLField<unknown, unknown>,
  depth: number,
  fragments: Map<string, string>,
): string {
  const named = getNamedType(type);
  if (!isCompositeType(named)) return '';
  if (!isAbstractType(named)) return `{ ...${fragmentOf(schema, named, depth, fragments)} }`;
  const own = isInterfaceType(named) ? Object.values(named.getFields()).filter(isPlain) : [];
  const possible = schema.getPossibleTypes(named).map((one) => `...${fragmentOf(schema, one, depth, fragments)}`);
  return `{ __typename ${own.map(({ name }) => name).join(' ')} ${possible.join(' ')} }`;
}

/** Wrappers (connections, edges, payloads) are no objects of their own: they do not count as depth. */
function fragmentOf(schema: GraphQLSchema, type: Fielded, depth: number, fragments: Map<string, string>): string {
  const name = `${type.name}${depth}`;
  if (fragments.has(name)) return name;
  fragments.set(name, '');
  const fields = Object.values(type.getFields()).flatMap((field) => {
    if (field.args.some(isRequiredArgument)) return [];
    const args = field.args.some((arg) => arg.name === 'first') ? `(first: ${FIRST})` : '';
    if (isPlain(field)) return [`${field.name}${args}`];
    const of = getNamedType(field.type);
    const wrapper = !('id' in (isObjectType(of) || isInterfaceType(of) ? of.getFields() : {}));
    if (!wrapper && depth === 0) return [];
    return [`${field.name}${args} ${selectionOf(schema, field, wrapper ? depth : depth - 1, fragments)}`];
  });
  fragments.set(name, `fragment ${name} on ${type.name} { __typename ${fields.join(' ')} }`);
  return name;
}

function isPlain({ type }: GraphQLField<unknown, unknown>): boolean {
  return !isCompositeType(getNamedType(type));
}
