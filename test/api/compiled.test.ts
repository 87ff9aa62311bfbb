/**
 * A compiled query answers byte for byte what graphql-js answers, and asks the database for as much in as many batches: for what
 * the other tests ask (support/corpus.jsonl), for what was made up to be hard, for operations at random. `FUZZ_SEED` for the same again.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  buildSchema,
  type DocumentNode,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  validate,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Tracer } from '../../src/engine/graphql/cache-trace.js';
import type { Context } from '../../src/graphql/context.js';
import { Loads } from '../../src/graphql/context.js';
import { CompiledQueries } from '../../src/server/operations/compiled-query.js';
import { type TestApp, testApp } from '../support/app.js';
import { corpus, type Operation } from '../support/corpus.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { Fuzz } from '../support/fuzz.js';

const RANDOM_OPERATIONS = Number(process.env.FUZZ_CASES || 300);
const MAX_TRIES = 20;
const SEED = Number(process.env.FUZZ_SEED || Date.now() % 1_000_000);

/** How a query ended: what it answered, in bytes; whether as compiled; what its context was asked for. */
interface Ended<C> {
  readonly answer: string;
  readonly gaveUp: boolean;
  readonly context: C;
}

/** Both ways: as graphql-js alone runs it; and as compiled, where that does not give up. */
async function bothWays<C>(
  queries: CompiledQueries,
  schema: GraphQLSchema,
  { query, operationName: name = null, variables }: Operation,
  contextOf: () => C,
): Promise<[interpreted: Ended<C>, compiled: Ended<C>]> {
  const document = parse(query);
  const interpreted = async (contextValue: C) =>
    execute({ schema, document, contextValue, variableValues: variables, operationName: name });
  const run = async (asCompiled: boolean): Promise<Ended<C>> => {
    const context = contextOf();
    const whole = asCompiled ? await runCompiled(queries, { document, name, variables }, context) : undefined;
    const result = whole ?? (await interpreted(context));
    return { answer: JSON.stringify(result), gaveUp: whole === undefined, context };
  };
  return [await run(false), await run(true)];
}

async function runCompiled(
  queries: CompiledQueries,
  asked: { document: DocumentNode; name: string | null; variables: Record<string, unknown> | undefined },
  context: unknown,
): Promise<ExecutionResult | undefined> {
  const { document, name, variables } = asked;
  const operation = getOperationAST(document, name);
  if (operation?.operation !== 'query') return undefined;
  return queries.run({ document, operation, variables }, context).then(
    (data) => ({ data }),
    () => undefined,
  );
}

describe('the API', () => {
  let app: TestApp;
  let f: Fixture;
  let queries: CompiledQueries;
  beforeAll(async () => {
    app = await testApp();
    f = await fixture(app);
    queries = new CompiledQueries(app.schema);
  });
  afterAll(() => app?.close());

  /** Past the cache: then the trace tells what was asked of the database together. */
  function contextOf(): Context {
    const { cache, db } = app;
    const tracer = new Tracer(true);
    tracer.enter();
    const loaders = new Loads({ cache, db, viewer: f.ada.id, tracer, bypass: 'snapshot' });
    loaders.enter = () => {}; // the place of a field, which no compiled query knows
    const markUncacheable = () => ({ scopes: [], rateLimit: undefined });
    return { requestId: '', viewerId: f.ada.id, tracer, snapshot: false, loaders, markUncacheable };
  }

  /** The batches, by name, and how many statements there were: in one turn they may go in another order. */
  function askedOf({ tracer }: Context): unknown {
    const { calls, totals } = tracer.report();
    return { batches: calls.map(({ name }) => name).sort(), statements: totals.sqlStatements };
  }

  /** @returns whether it was answered without errors; then as compiled, but for `gaveUp`. */
  async function expectSame(operation: Operation, { gaveUp = false } = {}): Promise<boolean> {
    const [interpreted, compiled] = await answeredAlike(operation);
    expect(compiled.answer, operation.query).toBe(interpreted.answer);
    const whole = !('errors' in JSON.parse(interpreted.answer));
    expect(compiled.gaveUp, operation.query).toBe(!whole || gaveUp);
    if (!compiled.gaveUp) await expectAskedAlike(operation);
    return whole;
  }

  /** Tried again where both failed: of two fields that fail, the one whose statement happens to end first is the error of the answer. */
  async function answeredAlike(operation: Operation) {
    for (let left = MAX_TRIES; ; left--) {
      const ended = await bothWays(queries, app.schema, operation, contextOf);
      const failed = ended.every(({ answer }) => 'errors' in JSON.parse(answer));
      if (left === 0 || !failed || ended[0].answer === ended[1].answer) return ended;
    }
  }

  /** Tried again: what two branches ask is one batch if their statements happen to end in one turn. */
  async function expectAskedAlike(operation: Operation): Promise<void> {
    for (let left = MAX_TRIES; ; left--) {
      const [interpreted, compiled] = await bothWays(queries, app.schema, operation, contextOf);
      const [expected, asked] = [interpreted, compiled].map(({ context }) => askedOf(context));
      if (left > 0 && !isDeepStrictEqual(asked, expected)) continue;
      expect(asked, operation.query).toEqual(expected);
      return;
    }
  }

  test('what the other tests ask', async () => {
    let whole = 0;
    for (const operation of corpus(f)) if (await expectSame(operation)) whole++;
    expect(whole).toBeGreaterThan(100);
  });

  test(`${RANDOM_OPERATIONS} operations at random, seed ${SEED}`, async () => {
    const known = [f.ada, f.bob, f.ops, f.web, f.bug, ...f.opsTasks].map(({ id }) => id as string);
    const fuzz = new Fuzz(SEED, { schema: app.schema, documents: ['{ viewer { id } }'], known: [...known, 'OPS-1'] });
    let [asked, whole] = [0, 0];
    // More than the number named where chance answers too few of them with data; a generator whose operations all fail ends in the time limit.
    while (asked < RANDOM_OPERATIONS || whole < RANDOM_OPERATIONS / 10) {
      const { kind, payload } = fuzz.next();
      if (kind !== 'valid' || payload?.startsWith('{"query":"query') !== true) continue;
      const operation: Operation = JSON.parse(payload);
      if (operation.query.includes('taskChangesSince')) continue; // its cursor is of the moment, so no two answers are the same
      if (validate(app.schema, parse(operation.query)).length > 0) continue;
      asked++;
      if (await expectSame(operation)) whole++;
    }
  }, 120_000);

  test.each<[string, Operation]>([
    [
      'one field selected in parts',
      { query: '{ viewer { ...A id ...B } } fragment A on User { handle } fragment B on User { name handle }' },
    ],
    ['an error in a list', { query: '{ tasks(first: 3) { nodes { id labels(first: 0) { nodes { id } } } } }' }],
    ['an error that takes the root with it', { query: '{ tasks(first: 0) { nodes { id } } viewer { id } }' }],
    ['an error beside what is well', { query: '{ task(id: "x") { id } viewer { id } }' }],
    [
      'aliases',
      { query: '{ toString: viewer { constructor: id valueOf: handle } hasOwnProperty: viewer { then: id } }' },
    ],
    [
      'introspection',
      {
        query:
          '{ __typename __schema { types { name fields { name type { name ofType { name } } } } } __type(name: "Task") { fields { name args { name defaultValue } } } }',
      },
    ],
    ['a variable that has a default', { query: 'query ($n: Int = 2) { tasks(first: $n) { nodes { id } } }' }],
    [
      'a default put aside',
      { query: 'query ($n: Int = 2) { tasks(first: $n) { nodes { id } } }', variables: { n: null } },
    ],
    [
      'a variable within an argument',
      { query: 'query ($s: TaskStatus) { tasks(filter: { status: { eq: $s } }) { nodes { id } } }' },
    ],
    [
      'a variable within an argument, given',
      {
        query: 'query ($s: TaskStatus) { tasks(filter: { status: { eq: $s } }) { nodes { id } } }',
        variables: { s: 'TODO' },
      },
    ],
    [
      'a variable of the wrong type',
      { query: 'query ($n: Int) { tasks(first: $n) { nodes { id } } }', variables: { n: 'many' } },
    ],
    ['a variable that is missing', { query: 'query ($id: ID!) { task(id: $id) { id } }' }],
    ['an operation by name', { query: 'query A { viewer { id } } query B { viewer { handle } }', operationName: 'B' }],
    ['no such operation', { query: 'query A { viewer { id } }', operationName: 'C' }],
    ['operations without a name given', { query: 'query A { viewer { id } } query B { viewer { handle } }' }],
  ])('%s', async (_, operation) => {
    await expectSame(operation);
  });

  test('an alias that would be the prototype of an answer is left to graphql-js', async () => {
    await expectSame({ query: '{ viewer { id __proto__: handle } }' }, { gaveUp: true });
  });

  test('@skip and @include, by variables, on fields and fragments, each way', async () => {
    const query = `query ($a: Boolean!, $b: Boolean = true) { viewer { ...F @skip(if: $a) ...F @include(if: $b) id @include(if: $a)
      ... @include(if: $b) @skip(if: $a) { name } ... on User @skip(if: false) { handle @skip(if: $b) } handle @include(if: $a) } }
      fragment F on User { assignedTasks(first: 1) { nodes { id title @skip(if: $a) } } }`;
    const answers = new Set<string>();
    for (const a of [true, false]) {
      for (const b of [true, false, undefined]) {
        const operation = { query, variables: { a, ...(b !== undefined && { b }) } };
        expect(await expectSame(operation)).toBe(true);
        const [{ answer }] = await bothWays(queries, app.schema, operation, contextOf);
        answers.add(answer);
      }
    }
    expect(answers.size).toBe(4);
    await expectSame({ query, variables: { a: true, b: null } });
  });
});

/** Values of every kind that a resolver may give, and errors wherever they can be. */
describe('any schema', () => {
  const schema = buildSchema(`
    type Query { thing: Thing, strict: Thing!, things: [Thing], strictThings: [Thing!]!, named: Named, nameds: [Named!], either: Either
      number: Int, color: Color, nested: [[Int!]], echo(a: Int = 1, b: [In!], c: In): String }
    interface Named { name: String }
    union Either = Thing | Other
    enum Color { RED }
    input In { x: Int = 3, y: String, z: [Int] }
    type Thing implements Named { name: String, text: String!, self: Thing, strictSelf: Thing!, list: [String!], color: Color, call(a: Int): String, path: String }
    type Other implements Named { name: String, only: String }
  `);
  const later = async <T>(value: T, turns = 1): Promise<T> => {
    for (let i = 0; i < turns; i++) await undefined;
    return value;
  };
  const fails = (message = 'no') => new GraphQLError(message, { extensions: { code: 'NO' } });

  /** What `source` has stands for what the root's resolvers give. */
  async function answered(query: string, source: Record<string, unknown>, variables: Record<string, unknown> = {}) {
    for (const [name, field] of Object.entries(schema.getQueryType()?.getFields() ?? {})) {
      field.resolve = (_, args) => (typeof source[name] === 'function' ? source[name](args) : source[name]);
    }
    const [interpreted, compiled] = await bothWays(
      new CompiledQueries(schema),
      schema,
      { query, variables },
      () => ({}),
    );
    expect(compiled.answer).toBe(interpreted.answer);
    return compiled;
  }

  const THING = { __typename: 'Thing', name: 'a', text: 'b' };
  const OTHER = { __typename: 'Other', name: 'c', only: 'd' };

  test.each<[string, string, Record<string, unknown>]>([
    [
      'promises in a list, in any order',
      '{ things { name } }',
      { things: [later(THING, 5), null, later(THING), later(null, 3), THING] },
    ],
    [
      'a promise of a list of promises',
      '{ things { name text } number }',
      { things: later([later(THING, 2), THING]), number: later(0, 9) },
    ],
    ['what can be iterated', '{ things { name } nested }', { things: new Set([THING]), nested: new Map([[1, 2]]) }],
    [
      'methods, getters and promises of properties',
      '{ thing { name text call(a: 4) self { name } } }',
      {
        thing: {
          get name() {
            return later('n');
          },
          text: () => 't',
          call: ({ a }: { a: number }) => later(`${a}`),
          self: () => THING,
        },
      },
    ],
    [
      'defaults of arguments',
      'query ($y: String, $z: [Int]) { a: echo b: echo(b: [{ x: 1 }, { y: $y }]) c: echo(a: null, c: { z: $z }) }',
      { echo: (args: unknown) => JSON.stringify(args) },
    ],
  ])('%s', async (_, query, source) => {
    expect((await answered(query, source)).gaveUp).toBe(false);
  });

  test.each<[string, string, Record<string, unknown>]>([
    [
      'errors in a list',
      '{ things { name text } }',
      { things: () => [THING, fails(), later(THING), Promise.reject(fails('later'))] },
    ],
    [
      'a null among what may not be null',
      '{ things { name } strictThings { name } }',
      { things: [THING], strictThings: [THING, null] },
    ],
    [
      'null where none may be, below a list',
      '{ things { text name } number }',
      { things: [{ text: null }, THING, { text: later(undefined) }], number: 1 },
    ],
    [
      'errors that happen in another order than fields',
      '{ a: thing { text } b: thing { name } number }',
      {
        thing: { text: () => later(null, 5), name: () => later(fails(), 2) },
        number: () => {
          throw fails('now');
        },
      },
    ],
    [
      'a throw after promises were made',
      '{ thing { a: strictSelf { name } text } }',
      {
        thing: {
          strictSelf: () => later(null),
          text: () => {
            throw fails();
          },
        },
      },
    ],
    ['no list', '{ things { name } strictThings { name } }', { things: 'text', strictThings: {} }],
    ['what is none of the enum', '{ color thing { color } }', { color: 'BLUE', thing: { color: Number.NaN } }],
    ['what is no number', '{ number nested }', { number: 'x', nested: [[1, null], [Number.NaN], [2 ** 40]] }],
    ['not thrown but an Error', '{ thing { name } number }', { thing: new TypeError('was given'), number: fails() }],
    ['thrown, but no Error', '{ thing { name } }', { thing: () => Promise.reject('text') }],
    [
      'a type of no name',
      '{ named { name } either { ... on Thing { text } } nameds { name } }',
      { named: { name: 'x' }, either: { __typename: 'Query' }, nameds: [THING, OTHER, 3] },
    ],
    [
      'types left to graphql-js',
      '{ nameds { __typename name ... on Other { only } ... on Thing { text } } }',
      { nameds: [THING, later(OTHER)] },
    ],
  ])('graphql-js is asked about %s', async (_, query, source) => {
    expect((await answered(query, source)).gaveUp).toBe(true);
  });

  test('types by a promise, each with its own fields', async () => {
    const { Named, Either } = schema.getTypeMap() as unknown as Record<string, { resolveType?: unknown }>;
    if (Named === undefined || Either === undefined) throw new Error('no such type');
    Named.resolveType = async ({ __typename: name }: { __typename: string }) => name;
    Either.resolveType = ({ __typename: name }: { __typename: string }) => name;
    const query = `{ nameds { __typename name ... on Other { only } ... on Thing { text self { name } } ...N } either { ...N ... on Other { only } } }
      fragment N on Named { n: name }`;
    expect((await answered(query, { nameds: [THING, OTHER, later(THING)], either: OTHER })).gaveUp).toBe(false);
    Named.resolveType = async () => 'Query';
    expect((await answered(query, { nameds: [THING] })).gaveUp).toBe(true);
    Named.resolveType = () => Promise.reject(fails());
    expect((await answered(query, { nameds: [THING] })).gaveUp).toBe(true);
    Named.resolveType = Either.resolveType = undefined;
  });

  test('a resolver that wants its path is given it', async () => {
    const { path } = (
      schema.getType('Thing') as unknown as { getFields(): Record<string, { resolve?: unknown }> }
    ).getFields();
    if (path === undefined) throw new Error('no such field');
    path.resolve = (_: unknown, __: unknown, ___: unknown, info: { path: unknown }) => JSON.stringify(info.path);
    expect((await answered('{ things { path } }', { things: [THING, THING] })).gaveUp).toBe(true);
    path.resolve = undefined;
  });

  test('what gave up asks for nothing more', async () => {
    const asked: string[] = [];
    const thing = {
      text: () => {
        throw fails();
      },
      self: () => later({ name: () => asked.push('name') }, 3),
    };
    const root = schema.getQueryType()?.getFields()['thing'];
    if (root === undefined) throw new Error('no such field');
    root.resolve = () => thing;
    const document = parse('{ thing { self { name } text } }');
    const queries = new CompiledQueries(schema);
    expect(await runCompiled(queries, { document, name: null, variables: {} }, {})).toBeUndefined();
    await later(null, 20);
    expect(asked).toEqual([]);
  });
});
