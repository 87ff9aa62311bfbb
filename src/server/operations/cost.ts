/**
 * Computes the cost of an operation before it runs: about one unit for each object that its answer may contain. A
 * connection costs its page size times the cost of a node. Variables are included, so `first: $n` counts as what the
 * client sent.
 */
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  getVariableValues,
  isCompositeType,
  isObjectType,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { type ComplexityEstimator, type ComplexityEstimatorArgs, getComplexity } from 'graphql-query-complexity';
import { LRUCache } from 'lru-cache';
import { badUserInput } from '../../graphql/errors.js';
import {
  COSTS,
  DEFAULT_PAGE,
  MAX_COST,
  MAX_PAGE,
  MAX_SELECTIONS,
  MAX_VARIABLE_DEPTH,
  MAX_VARIABLE_VALUES,
} from '../../graphql/limits.js';

/**
 * Maximum number of cached costs, and of the forms they are keyed by. Forms contain no text, but clients choose how
 * many exist.
 */
const MAX_KNOWN = 10_000;
const MAX_KNOWN_CHARS = 1024 * 1024;

export interface CostRequest {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>> | undefined;
}

/**
 * @returns the cost of an operation of a validated document; 1 if its variables are invalid, in which case it will not
 * run
 * @throws BAD_USER_INPUT if there are too many variable values or they are nested too deeply
 */
export interface CostOf {
  (asked: CostRequest): number;
  /** Returns a promise if the computation is known to be slow; it then runs in `timed`. */
  (asked: CostRequest, timed: Timed): number | Promise<number>;
}

/** Runs work that takes milliseconds. Rejects if the client's time budget is used up. */
export type Timed = (work: () => number) => Promise<number>;

/**
 * A computation that takes this long counts as slow. Nested fragments that use each other twice take 10 ms for a low
 * cost.
 */
const SLOW_MS = 1;

export function costsOf(schema: GraphQLSchema): CostOf {
  /** Keyed by operation; parsed documents are cached, so the object is the same each time. */
  const numbers = new WeakMap<OperationDefinitionNode, number>();
  let last = 0;
  const numberOf = (operation: OperationDefinitionNode) => {
    const number = numbers.get(operation) ?? ++last;
    numbers.set(operation, number);
    return number;
  };
  /** Slow operations. Each set of variables computes the cost again, so clients pay for that in time. */
  const slow = new WeakSet<OperationDefinitionNode>();
  const computed = (asked: CostRequest) => {
    const startedMs = performance.now();
    try {
      return compute(schema, asked);
    } finally {
      if (performance.now() - startedMs > SLOW_MS) slow.add(asked.operation);
    }
  };
  const known = new LRUCache<string, number>({
    max: MAX_KNOWN,
    maxSize: MAX_KNOWN_CHARS,
    sizeCalculation: (_, form) => form.length,
  });
  function costOf(asked: CostRequest): number;
  function costOf(asked: CostRequest, timed: Timed): number | Promise<number>;
  function costOf(asked: CostRequest, timed?: Timed): number | Promise<number> {
    requireBounded(asked.variables);
    const form = `${numberOf(asked.operation)} ${formOf(asked)}`;
    const cost = known.get(form);
    if (cost !== undefined) return cost;
    const work = () => {
      const found = computed(asked);
      if (found !== undefined) known.set(form, found);
      return found ?? 1;
    };
    return timed !== undefined && slow.has(asked.operation) ? timed(work) : work();
  }
  return costOf;
}

/** Works level by level, because it must detect deep nesting without recursion. @throws BAD_USER_INPUT */
function requireBounded(variables: unknown): void {
  let values = 0;
  let level = membersOf(variables);
  for (let depth = 1; level.length > 0; depth++) {
    values += level.length;
    if (depth > MAX_VARIABLE_DEPTH || values > MAX_VARIABLE_VALUES) {
      const expected = `expected at most ${MAX_VARIABLE_VALUES} values, at most ${MAX_VARIABLE_DEPTH} deep`;
      throw badUserInput('variables', expected, 400);
    }
    level = level.flatMap(membersOf);
  }
}

function membersOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

/** @throws QUERY_TOO_EXPENSIVE */
export function assertCostLimit(cost: number): void {
  if (cost > MAX_COST) throw tooExpensive(cost, `This query costs ${cost}; the limit is ${MAX_COST}.`);
}

function tooExpensive(cost: number, message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'QUERY_TOO_EXPENSIVE', cost, limit: MAX_COST, http: { status: 400 } },
  });
}

/**
 * The parts of the variables that can change the cost, which texts cannot. Absent and null differ, because a default
 * replaces only absent values.
 */
function formOf({ operation, variables = {} }: CostRequest): string {
  const names = operation.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];
  if (names.every((name) => typeof variables[name] === 'string')) return ''; // the usual form, without making its JSON
  const declared = Object.fromEntries(names.map((name) => [name, variables[name]]));
  return JSON.stringify(declared, (_, value) => (typeof value === 'string' ? '' : value));
}

/** Undefined if the variables are invalid; execution reports the fault. */
function compute(schema: GraphQLSchema, { document, operation, variables }: CostRequest): number | undefined {
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], { ...variables }, { maxErrors: 1 });
  if (errors !== undefined) return undefined;
  try {
    const cost = getComplexity({
      schema,
      query: document,
      ...(operation.name && { operationName: operation.name.value }),
      variables: { ...variables },
      estimators: [estimate],
      maxQueryNodes: MAX_SELECTIONS,
      context: fragmentsOf(document),
    });
    return Math.max(1, Math.ceil(cost));
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    if (error.message.includes('maximum allowed number of nodes')) {
      throw tooExpensive(
        MAX_COST + 1,
        `With its fragments spread out, this query selects more than ${MAX_SELECTIONS} fields.`,
      );
    }
    // A nullable variable for a non-null argument.
    throw badUserInput('variables', error.message, 400);
  }
}

const estimate: ComplexityEstimator = ({ args, childComplexity, context, field, node, type }) => {
  const of = getNamedType(field.type);
  if (of.name.startsWith('__')) return 0;
  const own = field.extensions['complexity'] ?? (isCompositeType(of) ? 1 : 0);
  // A field with its own function for the number of objects.
  if (typeof own === 'function') return own({ args, childComplexity });
  const write = type.name === 'Mutation' ? COSTS.write + COSTS.writtenTask * (givenIds(args) ?? 0) : 0;
  const base = (typeof own === 'number' ? own : 1) + write;
  const searched = costOfTexts(args['filter']);
  if (!isConnection(of)) return base + searched + (givenIds(args) ?? 1) * childComplexity;
  const counted = selects(node, 'totalCount', context as Fragments) ? COSTS.totalCount + searched : 0;
  return base + searched + costOfOrder(args['orderBy']) + pageSize(args) * childComplexity + counted;
};

function isConnection(type: unknown): boolean {
  return isObjectType(type) && 'pageInfo' in type.getFields();
}

/** A page size above the maximum is refused when the list is read. */
function pageSize({ first, last }: ComplexityEstimatorArgs['args']): number {
  const size = Number(first ?? last ?? DEFAULT_PAGE);
  return Math.min(Math.max(size, 1), MAX_PAGE);
}

/** The number of objects that are named one by one, as an argument or in a mutation's input. */
function givenIds(args: ComplexityEstimatorArgs['args']): number | undefined {
  const ids = args['ids'] ?? args['input']?.ids ?? args['input']?.tasks;
  return Array.isArray(ids) ? ids.length : undefined;
}

/** Independent of the field it names: see `formOf`, which leaves out the values of enums, as they are texts. */
function costOfOrder(orderBy: unknown): number {
  return Array.isArray(orderBy) && orderBy.length > 0 ? COSTS.order : 0;
}

/** Filter members on long texts. */
const LONG = new Set(['description', 'body']);

/** The cost of the text searches in a filter; `of` is the enclosing member. Other comparisons are negligible. */
function costOfTexts(value: unknown, of = ''): number {
  if (typeof value !== 'object' || value === null) return 0;
  let cost = 0;
  for (const [name, inner] of Object.entries(value)) {
    if (typeof inner !== 'string') cost += costOfTexts(inner, Array.isArray(value) ? of : name);
    else if (name === 'search') cost += COSTS.search;
    else if (/^(contains|startsWith)(IgnoreCase)?$/.test(name)) cost += LONG.has(of) ? COSTS.longText : COSTS.shortText;
  }
  return cost;
}

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

function fragmentsOf(document: DocumentNode): Fragments {
  return new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === 'FragmentDefinition' ? [[definition.name.value, definition]] : [],
    ),
  );
}

/** Whether the node selects the field, directly or through a fragment. */
function selects(
  { selectionSet }: { selectionSet?: SelectionSetNode | undefined },
  name: string,
  fragments: Fragments,
) {
  const visit = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === 'Field') return selection.name.value === name;
      if (selection.kind === 'InlineFragment') return visit(selection.selectionSet);
      return visit(fragments.get(selection.name.value)?.selectionSet);
    }) ?? false;
  return visit(selectionSet);
}
