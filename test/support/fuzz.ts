/**
 * Requests at random, from the schema and a seed: operations that are valid but for the values of their arguments; documents of people
 * that were broken; variables, bodies and addresses that nobody means well with. The same seed gives the same requests.
 */
import {
  type GraphQLArgument,
  type GraphQLEnumType,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { type Random, randomOf } from '../chaos/random.js';

export interface FuzzedRequest {
  readonly kind: string;
  readonly method: 'POST' | 'GET';
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly payload?: string;
}

export interface FuzzWorld {
  readonly schema: GraphQLSchema;
  /** Documents that people send. */
  readonly documents: readonly string[];
  /** Ids, keys, cursors that exist. */
  readonly known: readonly string[];
}

const MAX_SELECTED = 4;
const MAX_DEPTH = 6;

const TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\udfff\ud800',
  '\u202e\u200b\ufeff',
  '👩‍👩‍👧‍👦'.repeat(20),
  'ﷺ'.repeat(100),
  "'; drop table tasks; --",
  '%',
  '\\',
  '"',
  '""" """',
  '$' + '{1}',
  '{{1}}',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  'toString',
  'OPS-1',
  'OPS-999999999999999999999',
  'OPS',
  '-P2W',
  'P99999999999Y',
  '-P1Y2M3DT4H5M6.7S',
  '2026-02-30',
  '2026-01-01',
  '0000-00-00',
  '999999-01-01',
  '-000001-01-01',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:60.999999999Z',
  '275760-09-13T00:00:00.001Z',
  'task_01h455vb4pex5vsknk084sn02q',
  'task_7zzzzzzzzzzzzzzzzzzzzzzzzz',
  'task_8zzzzzzzzzzzzzzzzzzzzzzzzz',
  'user_',
  '{a,b}',
  '{"a":1}',
  '"phrase -or or',
  'a & b | !c <-> (',
  'WyJ4Il0',
  'WzEsIngiLCJ5IiwieiJd',
];
const NUMBERS = [0, -0, 1, -1, 2, 25, 100, 101, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 53, 1e308, -1e308, 0.1, 1e-320];

export class Fuzz {
  readonly #random: Random;
  readonly #world: FuzzWorld;

  constructor(seed: number, world: FuzzWorld) {
    this.#random = randomOf(seed);
    this.#world = world;
  }

  next(): FuzzedRequest {
    const one = this.#random.next();
    if (one < 0.35) return this.#valid();
    if (one < 0.65) return this.#broken();
    if (one < 0.85) return this.#hostileVariables();
    if (one < 0.93) return this.#hostileBody();
    return this.#hostileAddress();
  }

  #post(kind: string, body: unknown, headers: Record<string, string> = {}): FuzzedRequest {
    return {
      kind,
      method: 'POST',
      url: '/graphql',
      headers: { 'content-type': 'application/json', ...headers },
      payload: typeof body === 'string' ? body : JSON.stringify(body),
    };
  }

  // Operations from the schema.

  #valid(): FuzzedRequest {
    const { schema } = this.#world;
    const isWrite = this.#random.chance(0.1);
    const root = (isWrite ? schema.getMutationType() : schema.getQueryType()) as GraphQLObjectType;
    const writer = new OperationWriter(this.#random, this);
    const selected = writer.selection(root, 0, schema);
    const declared = writer.variables.map(({ name, type }) => `$${name}: ${type}`).join(', ');
    const query = `${isWrite ? 'mutation' : 'query'} Q${declared && `(${declared})`} ${selected}`;
    const variables = Object.fromEntries(writer.variables.map(({ name, value }) => [name, value]));
    const headers = this.#random.chance(0.1)
      ? { [this.#random.pick(['x-consistency', 'x-cache-trace'])]: this.#random.pick(['snapshot', '1']) }
      : {};
    // A header of one that has the value of the other is refused, which is a case, too.
    return this.#post('valid', { query, variables }, headers);
  }

  /** A value of the type, mostly one that fits. */
  value(type: GraphQLInputType, depth: number): unknown {
    const random = this.#random;
    if (isNonNullType(type)) return this.value(type.ofType, depth);
    if (random.chance(0.01)) return null;
    if (random.chance(0.01)) return this.#anything(2);
    if (isListType(type)) {
      const length = random.chance(0.05) ? 120 : random.integer(4);
      return Array.from({ length }, () => this.value(type.ofType, depth + 1));
    }
    if (isEnumType(type)) return random.pick((type as GraphQLEnumType).getValues()).name;
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields());
      const wanted = fields.filter((field) => isNonNullType(field.type) || random.chance(depth > 3 ? 0.05 : 0.35));
      return Object.fromEntries(wanted.map((field) => [field.name, this.value(field.type, depth + 1)]));
    }
    switch (type.name) {
      case 'Int':
        return random.chance(0.7) ? random.integer(120) : random.pick(NUMBERS);
      case 'Float':
        return random.pick(NUMBERS);
      case 'Boolean':
        return random.chance(0.5);
      case 'Date':
        return random.chance(0.9) ? '2026-01-01' : this.text();
      case 'DateTime':
      case 'DateTimeOrDuration':
        return random.chance(0.9) ? random.pick(['2026-01-01T00:00:00Z', '2026-07-01T12:30:00.123Z']) : this.text();
      default:
        return this.text();
    }
  }

  text(): string {
    const random = this.#random;
    if (random.chance(0.5)) return random.pick(this.#world.known);
    if (random.chance(0.02)) return random.pick(TEXTS).repeat(5000);
    return random.pick(TEXTS);
  }

  #anything(depth: number): unknown {
    const random = this.#random;
    switch (random.integer(depth > 0 ? 8 : 5)) {
      case 0:
        return random.pick(NUMBERS);
      case 1:
        return random.chance(0.5);
      case 2:
        return null;
      case 3:
      case 4:
        return this.text();
      case 5:
        return Array.from({ length: random.integer(5) }, () => this.#anything(depth - 1));
      default: {
        const names = [
          '__proto__',
          'constructor',
          'toJSON',
          'length',
          'then',
          'eq',
          'in',
          'id',
          'and',
          'search',
          'input',
        ];
        const entries = Array.from({ length: random.integer(4) }, () => [
          random.pick(names),
          this.#anything(depth - 1),
        ]);
        return Object.fromEntries(entries);
      }
    }
  }

  // What people send, broken.

  #broken(): FuzzedRequest {
    const random = this.#random;
    let tokens: string[] = random.pick(this.#world.documents).match(/"[^"]*"|\w+|\.\.\.|\s+|./gs) ?? [];
    for (let changes = 1 + random.integer(4); changes > 0; changes--) tokens = this.#mutated(tokens);
    return this.#post('broken', { query: tokens.join(''), variables: this.#anything(2) });
  }

  #mutated(tokens: string[]): string[] {
    const random = this.#random;
    const at = random.integer(tokens.length + 1);
    const to = Math.min(tokens.length, at + 1 + random.integer(6));
    const [before, part, after] = [tokens.slice(0, at), tokens.slice(at, to), tokens.slice(to)];
    switch (random.integer(9)) {
      case 0:
        return [...before, ...after];
      case 1:
        return [...before, ...part, ...part, ...after];
      case 2:
        return [
          ...before,
          ...Array<string[]>(random.pick([10, 300]))
            .fill(part)
            .flat(),
          ...after,
        ].slice(0, 20_000);
      case 3: {
        const other = random.integer(tokens.length || 1);
        const swapped = [...tokens];
        [swapped[at], swapped[other]] = [swapped[other] ?? '', swapped[at] ?? ''];
        return swapped;
      }
      case 4:
        return [
          ...before,
          random.pick(['{', '}', '(', ')', '[', ']', '!', '$', '@', ':', '=', '|', '&', '...', '#']),
          ...after,
        ];
      case 5:
        return [...before, random.pick(TEXTS), ...part, ...after];
      case 6:
        return [...before, String(random.pick(NUMBERS)), ...after];
      case 7: {
        const n = random.pick([20, 100, 1200]);
        const nest = random.pick([
          ['{ parent ', '}'],
          ['{ ... on Task ', '}'],
          ['[', ']'],
          ['{ and: ', '}'],
          ['(a:', ')'],
        ]);
        return [...before, nest[0]?.repeat(n) ?? '', '{ id }', nest[1]?.repeat(n) ?? '', ...after];
      }
      default:
        return [
          ...before,
          random.pick([
            'fragment F on Task { ...F }',
            ' @include(if: true) ',
            ' @skip(if: $x) ',
            ' ...F ',
            ' __typename ',
            ' __schema { types { fields { type { fields { name } } } } } ',
            'subscription { x }',
            'query Q',
            'on',
            '"""',
          ]),
          ...after,
        ];
    }
  }

  // Variables that do not fit.

  #hostileVariables(): FuzzedRequest {
    const random = this.#random;
    const [declared, use] = random.pick([
      ['$v: TaskFilter', '{ tasks(filter: $v, first: 2) { totalCount nodes { id } } }'],
      ['$v: [TaskOrder!]', '{ tasks(orderBy: $v, first: 2) { nodes { id } pageInfo { endCursor } } }'],
      ['$v: Int', '{ tasks(first: $v) { nodes { id } } projects(last: $v) { nodes { id } } }'],
      ['$v: String', '{ tasks(after: $v) { nodes { id } } project(key: $v) { id } }'],
      ['$v: String', '{ tasks(last: 2, before: $v) { nodes { id } } task(identifier: $v) { id } }'],
      ['$v: ID!', '{ node(id: $v) { id __typename } task(id: $v) { id } project(id: $v) { id } }'],
      ['$v: [ID!]!', '{ nodes(ids: $v) { id } }'],
      ['$v: Boolean!', '{ viewer { id @include(if: $v) name @skip(if: $v) } }'],
      ['$v: CreateTaskInput!', '@m { createTask(input: $v) { task { id } errors { code message path } } }'],
      ['$v: UpdateTaskInput!', '@m { updateTask(input: $v) { task { id } errors { code message path } } }'],
      ['$v: CreateCommentInput!', '@m { createComment(input: $v) { comment { id } errors { message } } }'],
      ['$v: CreateLabelInput!', '@m { createLabel(input: $v) { label { id } errors { message } } }'],
      ['$v: CreateProjectInput!', '@m { createProject(input: $v) { project { id } errors { message } } }'],
    ] as const);
    const isWrite = use.startsWith('@m');
    const query = `${isWrite ? 'mutation' : 'query'}(${declared}) ${use.replace('@m', '')}`;
    if (random.chance(0.04)) {
      return this.#post('variables', `{"query":${JSON.stringify(query)},"variables":{"v":${this.#excessive()}}}`);
    }
    const type = this.#world.schema.getType(declared.replace(/^\$v: |[[\]!]/g, '')) as GraphQLInputType;
    const v = random.chance(0.6) ? this.value(type, 0) : this.#anything(4);
    const wrapped = declared.includes('[') && random.chance(0.7) ? [v] : v;
    const variables = random.chance(0.05)
      ? this.#anything(1)
      : { v: wrapped, ...(random.chance(0.1) && { w: wrapped }) };
    return this.#post('variables', { query, variables });
  }

  /** JSON that is deeper or wider than anything that goes through it may bear. */
  #excessive(): string {
    const n = this.#random.pick([10, 3000, 60_000]);
    const [open, one, close] = this.#random.pick([
      ['{"not":'.repeat(n), '{}', '}'.repeat(n)],
      ['['.repeat(n), '1', ']'.repeat(n)],
      ['{"and":['.repeat(n), '{}', ']}'.repeat(n)],
      ['{"or":[', '{},'.repeat(n), '{}]}'],
      ['[', '"x",'.repeat(n), '"x"]'],
    ] as const);
    return `${open}${one}${close}`;
  }

  // Bodies and addresses.

  #hostileBody(): FuzzedRequest {
    const random = this.#random;
    const query = random.pick(this.#world.documents);
    const good = JSON.stringify({ query });
    const type = (value: string) => ({ 'content-type': value });
    switch (random.integer(9)) {
      case 0:
        return this.#post('body', good.slice(0, random.integer(good.length)));
      case 1:
        return this.#post(
          'body',
          random.pick(['', '[]', 'null', '1', '"x"', '{}', '[{}]', '\ufeff{}', '{"query":{}}', 'NaN']),
        );
      case 2:
        return this.#post(
          'body',
          good,
          type(random.pick(['text/plain', 'application/xml', 'multipart/form-data', 'x', ''])),
        );
      case 3:
        return this.#post('body', `{"query":${JSON.stringify(query)},"__proto__":{"polluted":1}}`);
      case 4:
        return this.#post('body', `${'['.repeat(50_000)}${']'.repeat(50_000)}`);
      case 5:
        return this.#post(
          'body',
          `{"query":"{ viewer { id } }","variables":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
        );
      case 6:
        return this.#post('body', { query, operationName: this.#anything(1), extensions: this.#anything(3) });
      case 7: {
        const persistedQuery = random.chance(0.5)
          ? { version: this.#anything(0), sha256Hash: this.#anything(1) }
          : { version: 1, sha256Hash: this.#anything(1) };
        return this.#post('body', { ...(random.chance(0.5) && { query }), extensions: { persistedQuery } });
      }
      default:
        return this.#post('body', { query, documentId: this.#anything(1), variables: this.#anything(1) });
    }
  }

  #hostileAddress(): FuzzedRequest {
    const random = this.#random;
    const query = random.pick(this.#world.documents);
    const params = new URLSearchParams({ query });
    const name = random.pick(['variables', 'extensions', 'operationName', 'query', 'documentId', 'x']);
    const value = this.#anything(2);
    params.append(name, random.chance(0.7) ? JSON.stringify(value) : String(value));
    const tail = random.pick(['', '', '&%', '&%00', '&%ff=1', '&a[b]=1', '#x']);
    const headers = {
      'apollo-require-preflight': '1',
      ...(random.chance(0.3) && {
        [random.pick([
          'accept',
          'host',
          'content-type',
          'x-consistency',
          'if-none-match',
          'origin',
          'x-forwarded-for',
        ])]: random.pick(
          ['', '*', '*/*;q=x', 'text/html', 'a b', '"x"', ',', '[::1', 'application/json', '😀'].filter(isHeader),
        ),
      }),
    };
    return { kind: 'address', method: 'GET', url: `/graphql?${params}${tail}`, headers };
  }
}

/** What Node itself lets pass. */
function isHeader(value: string): boolean {
  return !/[^\t\x20-\x7e\x80-\xff]/.test(value);
}

/** A selection with its variables. */
class OperationWriter {
  readonly variables: { name: string; type: string; value: unknown }[] = [];

  constructor(
    private readonly random: Random,
    private readonly fuzz: Fuzz,
  ) {}

  selection(type: GraphQLObjectType, depth: number, schema: GraphQLSchema): string {
    const { random } = this;
    const fields = Object.values(type.getFields());
    const leaves = fields.filter((field) => !isCompositeType(getNamedType(field.type)));
    const choices = depth >= MAX_DEPTH && leaves.length > 0 ? leaves : fields;
    const count = 1 + random.integer(MAX_SELECTED);
    const texts = Array.from({ length: count }, (_, i) => {
      if (depth >= MAX_DEPTH && leaves.length === 0) return '__typename';
      const field = random.pick(choices);
      const args = field.args.flatMap((arg) => this.#argument(arg));
      const alias = field.args.length > 0 || random.chance(0.1) ? `a${depth}_${i}: ` : '';
      const of = getNamedType(field.type);
      return `${alias}${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''}${this.#below(of, depth, schema)}`;
    });
    return `{ ${texts.join(' ')} }`;
  }

  #below(of: unknown, depth: number, schema: GraphQLSchema): string {
    if (isObjectType(of)) return ` ${this.selection(of, depth + 1, schema)}`;
    if (!isAbstractType(of as never)) return '';
    const type = this.random.pick(schema.getPossibleTypes(of as never));
    return ` { __typename ... on ${type.name} ${this.selection(type, depth + 1, schema)} }`;
  }

  #argument(arg: GraphQLArgument): string[] {
    const paging = ['first', 'last', 'after', 'before'].includes(arg.name);
    if (!isNonNullType(arg.type) && this.random.chance(paging ? 0.85 : 0.5)) return [];
    // Small pages: what costs too much is only refused.
    const small = ['first', 'last'].includes(arg.name) && this.random.chance(0.9);
    const name = `v${this.variables.length}`;
    const value = small ? 1 + this.random.integer(5) : this.fuzz.value(arg.type, 0);
    this.variables.push({ name, type: String(arg.type), value });
    return [`${arg.name}: $${name}`];
  }
}
