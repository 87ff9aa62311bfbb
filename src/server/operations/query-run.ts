/** One run of a compiled query: calls the resolvers and builds the answer. What it compiles from is in compiled-query.ts. */
import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getArgumentValues,
  type OperationDefinitionNode,
} from 'graphql';
import type { ResponseSize } from './response-size.js';

export type Field = ReturnType<GraphQLObjectType['getFields']>[string];
export type Resolve = NonNullable<Field['resolve']>;
export type Resolvers = ReadonlyMap<Field, Resolve | undefined>;
export type Variables = Readonly<Record<string, unknown>>;
/** An object or list of the answer. */
export type Into = Record<string | number, unknown>;

/** What stands in the answer for a value. What a promise will tell is put at `key` of `into` then. @throws to give up */
export type Complete = (value: unknown, run: Run, into: Into, key: string | number) => unknown;

/** A field that is selected in one place of a document. */
export interface FieldPlace {
  readonly definition: Field;
  readonly nodes: readonly FieldNode[];
  readonly parentType: GraphQLObjectType;
  /** Of the place in its query. */
  readonly index: number;
}

export interface CompiledField extends FieldPlace {
  /** In the answer. */
  readonly key: string;
  readonly keyBytes: number;
  /** Absent: it is a property of its parent's value. */
  readonly resolve: Resolve | undefined;
  readonly complete: Complete;
}

/** What a run needs of its query. */
interface RunnableQuery {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Record<string, FragmentDefinitionNode>;
  root(variables: Variables): readonly CompiledField[];
}

/** A case that is left to graphql-js. */
export class Bailout extends Error {
  override readonly name = 'GaveUp';
}

/** One run of a query. */
export class Run {
  readonly query: RunnableQuery;
  readonly context: unknown;
  readonly variables: Variables;
  readonly size: ResponseSize;
  /** By the index of the place: every object of a list calls its resolvers with the same. */
  readonly #calls: Call[] = [];
  /** Promises that are waited for; and the first turn. */
  #pending = 1;
  #over = false;
  #finish: () => void;
  #giveUp: (reason: unknown) => void;

  constructor(query: RunnableQuery, context: unknown, variables: Variables, size: ResponseSize) {
    this.query = query;
    this.context = context;
    this.variables = variables;
    this.size = size;
  }

  answer(): Promise<Into> {
    return new Promise((resolve, reject) => {
      this.#giveUp = (reason) => {
        this.#over = true;
        reject(reason);
      };
      try {
        const data = this.object(undefined, this.query.root(this.variables));
        this.#finish = () => resolve(data);
        this.#settled();
      } catch (error) {
        this.#giveUp(error);
      }
    });
  }

  object(source: unknown, fields: readonly CompiledField[]): Into {
    const data: Into = {};
    let bytes = 0;
    for (const field of fields) {
      bytes += field.keyBytes;
      data[field.key] = this.when(this.#resolved(source, field), field.complete, data, field.key);
    }
    this.size.add(bytes);
    return data;
  }

  /** Completes a value now, or when its promise is fulfilled. */
  when(value: unknown, complete: Complete, into: Into | unknown[], key: string | number): unknown {
    if (!isPromise(value)) return complete(value, this, into as Into, key);
    this.#pending++;
    value.then((fulfilled) => {
      if (this.#over) return; // no more is asked for
      try {
        (into as Into)[key] = complete(fulfilled, this, into as Into, key);
        this.#settled();
      } catch (error) {
        this.#giveUp(error);
      }
    }, this.#giveUp);
    return undefined; // keeps the place in the order of keys
  }

  call(place: FieldPlace): Call {
    const known = this.#calls[place.index];
    if (known !== undefined) return known;
    const { definition, nodes } = place;
    const args = getArgumentValues(definition, nodes[0] as FieldNode, this.variables);
    const made = { args, info: new Info(this, place) };
    this.#calls[place.index] = made;
    return made;
  }

  #resolved(source: unknown, field: CompiledField): unknown {
    if (field.resolve !== undefined) {
      const { args, info } = this.call(field);
      return field.resolve(source, args, this.context, info);
    }
    if (source === null || (typeof source !== 'object' && typeof source !== 'function')) return undefined;
    const value = (source as Into)[field.definition.name];
    if (typeof value !== 'function') return value;
    const { args, info } = this.call(field);
    return value.call(source, args, this.context, info);
  }

  #settled(): void {
    if (--this.#pending === 0) this.#finish();
  }
}

/** What a resolver is called with besides its parent's value. */
interface Call {
  readonly args: Record<string, unknown>;
  readonly info: GraphQLResolveInfo;
}

class Info implements GraphQLResolveInfo {
  readonly fieldName: string;
  readonly fieldNodes: readonly FieldNode[];
  readonly returnType: GraphQLOutputType;
  readonly parentType: GraphQLObjectType;
  readonly schema: GraphQLSchema;
  readonly fragments: Record<string, FragmentDefinitionNode>;
  readonly rootValue = undefined;
  readonly operation: OperationDefinitionNode;
  readonly variableValues: Record<string, unknown>;

  constructor({ query, variables }: Run, { definition, nodes, parentType }: FieldPlace) {
    this.fieldName = definition.name;
    this.fieldNodes = nodes;
    this.returnType = definition.type;
    this.parentType = parentType;
    this.schema = query.schema;
    this.fragments = query.fragments;
    this.operation = query.operation;
    this.variableValues = variables;
  }

  /** It is one for all objects of a list. */
  get path(): never {
    throw new Bailout();
  }
}

export function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
