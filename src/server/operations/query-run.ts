/** One run of a compiled query: calls the resolvers and builds the answer. compiled-query.ts compiles it. */
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
import type { OpenPart, Part, Parts } from '../../engine/cache/index.js';
import { JsonText, noteTexts, writeJson } from './json-text.js';
import type { ResponseSize } from './response-size.js';

export type Field = ReturnType<GraphQLObjectType['getFields']>[string];
export type Resolve = NonNullable<Field['resolve']>;
export type Resolvers = ReadonlyMap<Field, Resolve | undefined>;
export type Variables = Readonly<Record<string, unknown>>;
/** An object or list of the answer. */
export type Into = Record<string | number, unknown>;

/**
 * Returns the completed value for the answer. The value of a promise is later put at `key` of `into`. @throws Bailout
 */
export type Complete = (value: unknown, run: Run, into: Into, key: string | number) => unknown;

/** A field at one position of a document. */
export interface FieldPlace {
  readonly definition: Field;
  readonly nodes: readonly FieldNode[];
  readonly parentType: GraphQLObjectType;
  /** Position of the field in its query. */
  readonly index: number;
}

export interface CompiledField extends FieldPlace {
  /** Response key of the field. */
  readonly key: string;
  readonly keyBytes: number;
  /** Absent: the field is a property of its parent's value. */
  readonly resolve: Resolve | undefined;
  readonly complete: Complete;
}

/** The parts of a query that a run needs. */
interface RunnableQuery {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Record<string, FragmentDefinitionNode>;
  root(variables: Variables): readonly CompiledField[];
}

export interface RunOptions {
  readonly context: unknown;
  readonly size: ResponseSize;
  /** Keeps and finds parts of the answer. Absent: none are. */
  readonly parts: Parts | undefined;
  readonly viewer: string;
}

/** A part of the answer while the run makes it. */
interface PartInRun {
  readonly open: OpenPart;
  readonly around: PartInRun | undefined;
  readonly named: string;
  readonly row: object;
  /** Number of pending promises and parts within, plus one for the synchronous part. */
  pending: number;
  /** Absent until the synchronous part has ended. */
  value: Into | undefined;
}

/** Larger parts are not kept. */
const MAX_PART_BYTES = 64 * 1024;

/** Thrown for cases that are left to graphql-js. */
export class Bailout extends Error {
  override readonly name = 'Bailout';
}

/** One run of a query. */
export class Run {
  readonly query: RunnableQuery;
  readonly context: unknown;
  readonly variables: Variables;
  readonly size: ResponseSize;
  readonly viewer: string;
  /** Whether the answer contains `JsonText`. */
  #hasTexts = false;
  readonly #parts: Parts | undefined;
  /** The part of the answer that is being worked on. */
  #part: PartInRun | undefined;
  /** Indexed by position of the field: all objects of a list call their resolvers with the same arguments. */
  readonly #calls: Call[] = [];
  /** Of parts, indexed like `#calls`. */
  readonly #names: string[] = [];
  /** Number of pending promises, plus one for the synchronous part. */
  #pending = 1;
  #over = false;
  #data: Into | undefined;
  #resolve: (data: Into) => void;
  #reject: (reason: unknown) => void;
  readonly #bailOut = (reason: unknown) => {
    this.#over = true;
    this.#reject(reason);
  };

  constructor(query: RunnableQuery, variables: Variables, { context, size, parts, viewer }: RunOptions) {
    this.query = query;
    this.context = context;
    this.variables = variables;
    this.size = size;
    this.#parts = parts;
    this.viewer = viewer;
  }

  answer(): Promise<Into> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      try {
        this.#data = this.#workOn(undefined, () => this.object(undefined, this.query.root(this.variables)));
        this.#settled();
      } catch (error) {
        this.#bailOut(error);
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

  /**
   * The object of a row as part of the answer, found or made and kept. `name` gives the name of parts at the position
   * `index`: see `Parts.keep`. Without parts, and for a copy of a row that is shown for the first time, `object` is
   * called.
   */
  item(row: object, fields: readonly CompiledField[], index: number, name: (run: Run) => string): Into {
    const parts = this.#parts;
    if (parts === undefined || !parts.isKnown(row)) return this.object(row, fields);
    this.#names[index] ??= name(this);
    const named = this.#names[index];
    const kept = parts.find(named, row);
    if (kept !== undefined) {
      this.#hasTexts = true;
      this.size.add(kept.bytes);
      return kept.value as Into; // a JsonText, in place of the object
    }
    const part: PartInRun = { open: parts.open(), around: this.#part, named, row, pending: 1, value: undefined };
    if (part.around !== undefined) part.around.pending++;
    const value = this.#workOn(part, () => this.object(row, fields));
    part.value = value;
    this.#settledPart(part);
    return value;
  }

  #asText(value: Into): Part | undefined {
    const text = (this.#hasTexts ? writeJson(value) : JSON.stringify(value)) as string;
    const bytes = Buffer.byteLength(text);
    return bytes > MAX_PART_BYTES ? undefined : { value: new JsonText(text), bytes };
  }

  /** Completes a value now, or when its promise is fulfilled. */
  when(value: unknown, complete: Complete, into: Into | unknown[], key: string | number): unknown {
    if (!isPromise(value)) return complete(value, this, into as Into, key);
    const part = this.#part;
    this.#pending++;
    if (part !== undefined) part.pending++;
    value.then((fulfilled) => {
      if (this.#over) return; // the run has failed
      try {
        const completed = () => complete(fulfilled, this, into as Into, key);
        (into as Into)[key] = this.#workOn(part, completed);
        if (part !== undefined) this.#settledPart(part);
        this.#settled();
      } catch (error) {
        this.#bailOut(error);
      }
    }, this.#bailOut);
    return undefined; // reserves the position in the order of keys
  }

  /** `part`: undefined for what belongs to no part. */
  #workOn<T>(part: PartInRun | undefined, work: () => T): T {
    if (this.#parts === undefined) return work();
    const before = this.#part;
    this.#part = part;
    try {
      return this.#parts.within(part?.open ?? 'answer', work);
    } finally {
      this.#part = before;
    }
  }

  #settledPart(part: PartInRun): void {
    if (--part.pending > 0) return;
    const { open, named, row, value } = part;
    this.#parts?.keep(open, named, row, () => this.#asText(value as Into));
    if (part.around !== undefined) this.#settledPart(part.around);
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
    if (--this.#pending > 0) return;
    const data = this.#data as Into;
    if (this.#hasTexts) noteTexts(data);
    this.#resolve(data);
  }
}

/** The arguments of a resolver other than the parent's value. */
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

  /** Unavailable, because one call serves all objects of a list. */
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
