/**
 * Queries, compiled once per document: what graphql-js finds out anew at each run (which fields are selected, what resolves them,
 * how their values become JSON) is known. The same resolvers are called with the same arguments in the same turns, so what they
 * ask for is batched as ever, and the answer is the same byte for byte.
 *
 * It knows one way, the one in which all goes well. At whatever else (an error, a null that may not be, a resolver that wants to
 * know its path) it gives up, and graphql-js runs the query from its beginning: an answer with errors is always graphql-js's own.
 *
 * 20 tasks with assignee, project and labels, all in process memory, 16 requests at once: 1.3 ms of CPU each in place of 2.4; one
 * task with both: 0.11 in place of 0.18. graphql-jit: 1.5 and 0.13. It is not taken because a client's text in a document can end
 * up in its program as code; because it resolves no function of an object, as connections are, and no type that a promise names;
 * and because a type resolver that throws leaves the request without an answer.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLAbstractType,
  GraphQLIncludeDirective,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getDirectiveValues,
  getVariableValues,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type NamedTypeNode,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionNode,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  type VariableNode,
  visit,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { MAX_COMPILED_FIELDS } from '../../graphql/limits.js';
import {
  Bailout,
  type CompiledField,
  type Complete,
  type FieldPlace,
  type Into,
  isIterable,
  isPromise,
  type Resolvers,
  Run,
  type Variables,
} from './query-run.js';
import { keyBytes, MAX_RESPONSE_BYTES, ResponseSize } from './response-size.js';

export interface CompileRequest {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Variables | undefined;
}

/** An operation that has run. */
interface Known {
  readonly id: number;
  /** The variables that `@skip` and `@include` read: with other values it is another query. */
  readonly conditions: readonly string[];
  readonly queries: Map<string, CompiledQuery>;
}

const META_FIELDS = [SchemaMetaFieldDef, TypeMetaFieldDef, TypeNameMetaFieldDef];

export class CompiledQueries {
  readonly #schema: GraphQLSchema;
  /** As they are now: Apollo wraps those of all fields when the first request asks for a trace. */
  readonly #resolvers: Resolvers;
  /** Apollo keeps the documents: what is compiled goes with them, so this holds no more of them than it does. */
  readonly #operations = new WeakMap<OperationDefinitionNode, Known>();
  /** By the key of a compiled query. */
  readonly #kept = new LRUCache<string, WeakRef<Known>>({
    maxSize: MAX_COMPILED_FIELDS,
    dispose: (known, key, reason) => reason !== 'set' && known.deref()?.queries.delete(key),
  });
  #count = 0;

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
    const fields = Object.values(schema.getTypeMap()).flatMap((type) =>
      isObjectType(type) ? Object.values(type.getFields()) : [],
    );
    this.#resolvers = new Map([...fields, ...META_FIELDS].map((field) => [field, field.resolve]));
  }

  /** The `data` of a query of a valid document, which is added up in `size`. @throws ResponseTooLarge, or whatever made it give up, which is no answer */
  async run(
    { document, operation, variables }: CompileRequest,
    context: unknown,
    size = new ResponseSize(MAX_RESPONSE_BYTES),
  ): Promise<Into> {
    const definitions = operation.variableDefinitions ?? [];
    const { coerced } = getVariableValues(this.#schema, definitions, variables ?? {}, { maxErrors: 1 });
    if (coerced === undefined) throw new Bailout();
    const known = this.#operation(document, operation);
    const key = `${known.id} ${JSON.stringify(known.conditions.map((name) => coerced[name]))}`;
    this.#kept.get(key); // it is used
    const query = known.queries.get(key) ?? new CompiledQuery(this.#schema, this.#resolvers, { document, operation });
    const { size: sizeBefore } = query;
    try {
      return await new Run(query, context, coerced, size).answer();
    } finally {
      if (query.size !== sizeBefore) this.#keep(known, key, query); // compiled as far as it has been run, so it grows
    }
  }

  #operation(document: DocumentNode, operation: OperationDefinitionNode): Known {
    const known = this.#operations.get(operation);
    if (known !== undefined) return known;
    const made: Known = { id: this.#count++, conditions: conditionsOf(document), queries: new Map() };
    this.#operations.set(operation, made);
    return made;
  }

  #keep(known: Known, key: string, query: CompiledQuery): void {
    this.#kept.set(key, new WeakRef(known), { size: query.size });
    if (this.#kept.has(key)) known.queries.set(key, query);
    else known.queries.delete(key); // too large
  }
}

/** The variables that directives read: with other values of theirs, other fields are selected. */
function conditionsOf(document: DocumentNode): string[] {
  const names = new Set<string>();
  const note = { Variable: ({ name }: VariableNode) => void names.add(name.value) };
  visit(document, { Directive: (node) => void visit(node, note) });
  return [...names];
}

/** One operation under one set of conditions, compiled as far as it has been run. */
class CompiledQuery {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Record<string, FragmentDefinitionNode> = Object.create(null);
  readonly #resolvers: Resolvers;
  #root: readonly CompiledField[] | undefined;
  /** Fields compiled. */
  size = 0;

  constructor(schema: GraphQLSchema, resolvers: Resolvers, { document, operation }: Omit<CompileRequest, 'variables'>) {
    this.schema = schema;
    this.#resolvers = resolvers;
    this.operation = operation;
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) this.fragments[definition.name.value] = definition;
    }
  }

  root(variables: Variables): readonly CompiledField[] {
    const type = this.schema.getQueryType() as GraphQLObjectType; // else its document were not valid
    this.#root ??= this.#select(type, [this.operation], variables);
    return this.#root;
  }

  /** The fields of an object, in the order in which graphql-js collects them. */
  #select(type: GraphQLObjectType, parents: readonly Selecting[], variables: Variables): readonly CompiledField[] {
    const selected = new Map<string, FieldNode[]>();
    const spread = new Set<string>();
    const collect = ({ selectionSet }: Selecting) => {
      for (const node of selectionSet?.selections ?? []) {
        if (node.kind === Kind.FIELD) {
          if (!isIncluded(node, variables)) continue;
          const key = node.alias?.value ?? node.name.value;
          const nodes = selected.get(key);
          if (nodes === undefined) selected.set(key, [node]);
          else nodes.push(node);
        } else if (node.kind === Kind.INLINE_FRAGMENT) {
          if (isIncluded(node, variables) && this.#applies(node.typeCondition, type)) collect(node);
        } else if (!spread.has(node.name.value) && isIncluded(node, variables)) {
          spread.add(node.name.value);
          const fragment = this.fragments[node.name.value];
          if (fragment !== undefined && this.#applies(fragment.typeCondition, type)) collect(fragment);
        }
      }
    };
    for (const parent of parents) collect(parent);
    return [...selected].map(([key, nodes]) => this.#field(type, key, nodes));
  }

  #applies(condition: NamedTypeNode | undefined, type: GraphQLObjectType): boolean {
    if (condition === undefined || condition.name.value === type.name) return true;
    const general = this.schema.getType(condition.name.value);
    return isAbstractType(general) && this.schema.isSubType(general, type);
  }

  #field(parentType: GraphQLObjectType, key: string, nodes: readonly FieldNode[]): CompiledField {
    const name = nodes[0]?.name.value ?? '';
    const definition = META_FIELDS.find((field) => field.name === name) ?? parentType.getFields()[name];
    // Objects of the answer are plain ones here: it would be their prototype.
    if (definition === undefined || key === '__proto__') throw new Bailout();
    const place: FieldPlace = { definition, nodes, parentType, index: this.size++ };
    const resolve = this.#resolvers.get(definition);
    return {
      ...place,
      key,
      keyBytes: keyBytes(key),
      resolve,
      complete: this.#completion(definition.type, place, true),
    };
  }

  #completion(type: GraphQLOutputType, place: FieldPlace, mayBeNull: boolean): Complete {
    if (isNonNullType(type)) return this.#completion(type.ofType, place, false);
    const complete = this.#present(type, place);
    return (value, run, into, key) => {
      if (value === null || value === undefined) {
        if (mayBeNull) return null;
        throw new Bailout();
      }
      if (value instanceof Error) throw value;
      return complete(value, run, into, key);
    };
  }

  /** Of a value that is there. */
  #present(type: GraphQLOutputType, place: FieldPlace): Complete {
    if (isLeafType(type)) return leaf(type);
    if (isListType(type)) return list(this.#completion(type.ofType, place, true));
    if (isAbstractType(type)) return this.#abstract(type, place);
    if (isObjectType(type)) return this.#object(type, place);
    throw new Bailout();
  }

  #object(type: GraphQLObjectType, { nodes }: FieldPlace): Complete {
    let fields: readonly CompiledField[] | undefined;
    return (value, run) => {
      if (type.isTypeOf !== undefined) throw new Bailout();
      fields ??= this.#select(type, nodes, run.variables);
      return run.object(value, fields);
    };
  }

  #abstract(type: GraphQLAbstractType, place: FieldPlace): Complete {
    const objects = new Map<string, Complete>();
    const as: (value: unknown) => Complete = (value) => (name, run, into, key) => {
      const object = this.schema.getType(String(name));
      if (!isObjectType(object) || !this.schema.isSubType(type, object)) throw new Bailout();
      const complete = objects.get(object.name) ?? this.#object(object, place);
      objects.set(object.name, complete);
      return complete(value, run, into, key);
    };
    return (value, run, into, key) => {
      const name = type.resolveType?.(value, run.context, run.call(place).info, type);
      return run.when(name, as(value), into, key);
    };
  }
}

/** What has a selection set: an operation, a field, a fragment. */
interface Selecting {
  readonly selectionSet?: SelectionSetNode | undefined;
}

/** Throws as graphql-js does where a condition is null. */
function isIncluded(node: SelectionNode, variables: Variables): boolean {
  if (node.directives === undefined || node.directives.length === 0) return true;
  if (getDirectiveValues(GraphQLSkipDirective, node, variables)?.['if'] === true) return false;
  return getDirectiveValues(GraphQLIncludeDirective, node, variables)?.['if'] !== false;
}

function leaf(type: GraphQLLeafType): Complete {
  return (value, run) => {
    const serialized: unknown = type.serialize(value);
    if (serialized === null || serialized === undefined) throw new Bailout();
    run.size.addLeaf(serialized);
    return serialized;
  };
}

function list(complete: Complete): Complete {
  return (value, run) => {
    if (!isIterable(value)) throw new Bailout();
    const items: unknown[] = Array.isArray(value) ? value : Array.from(value);
    const into = new Array<unknown>(items.length);
    try {
      for (let i = 0; i < items.length; i++) into[i] = run.when(items[i], complete, into, i);
    } catch (error) {
      for (const item of items) if (isPromise(item)) item.then(undefined, () => {}); // those that nobody has come to
      throw error;
    }
    return into;
  };
}
