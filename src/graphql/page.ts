/** Connections after Relay's cursor specification, forwards: arguments, opaque cursors, and the object that answers a connection's fields. */
import { Buffer } from 'node:buffer';
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import { digest } from '../cache/index.js';
import { badUserInput } from './errors.js';

const DEFAULT_PAGE = 25;
const MAX_PAGE = 100;
/** Raise it when the sort keys in a cursor change their meaning. */
const CURSOR_VERSION = 1;

@ArgsType()
export class PageArgs {
  @Field(() => Int, {
    nullable: true,
    defaultValue: DEFAULT_PAGE,
    description: `How many to return: 1 to ${MAX_PAGE}.`,
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Return what follows the edge with this cursor.' })
  after?: string | null;
}

/** A list's entry: the id and the values it is sorted by, which are its cursor. */
export interface PageItem<Id extends string> {
  readonly id: Id;
  readonly sort: readonly string[];
}

export interface Page<Id extends string> {
  readonly items: readonly PageItem<Id>[];
  readonly hasNextPage: boolean;
}

/** What a page is asked with. */
export interface PageQuery {
  readonly limit: number;
  /** The sort values and id of the last edge seen. */
  readonly after: readonly string[] | null;
}

/**
 * @param list names the list with its filter and order: a cursor of another list is refused.
 * @param isPosition whether values from a cursor are sort values and id of such a list.
 * @throws BAD_USER_INPUT
 */
export function pageQuery(
  { first, after }: PageArgs,
  list: string,
  isPosition: (keys: readonly string[]) => boolean,
): PageQuery {
  const limit = first ?? DEFAULT_PAGE;
  if (limit < 1 || limit > MAX_PAGE) throw badUserInput('first', `expected 1 to ${MAX_PAGE}, got ${limit}`);
  if (after === null || after === undefined) return { limit, after: null };
  const keys = readCursor(after, list);
  if (!isPosition(keys)) throw badUserInput('after', NO_CURSOR);
  return { limit, after: keys };
}

const NO_CURSOR = 'expected a cursor of an edge of this connection';

/** Pages are read with one row more than asked for, which tells whether there is a next one. */
export function toPage<Id extends string>(rows: readonly PageItem<Id>[], limit: number): Page<Id> {
  return { items: rows.slice(0, limit), hasNextPage: rows.length > limit };
}

function cursorOf<Id extends string>({ id, sort }: PageItem<Id>, mark: string): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, mark, ...sort, id])).toString('base64url');
}

function readCursor(cursor: string, list: string): string[] {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw badUserInput('after', NO_CURSOR);
  }
  if (
    !Array.isArray(parts) ||
    parts[0] !== CURSOR_VERSION ||
    !parts.every((part, i) => i === 0 || typeof part === 'string')
  ) {
    throw badUserInput('after', NO_CURSOR);
  }
  const [, mark, ...keys] = parts as [number, string, ...string[]];
  if (mark !== listMark(list))
    throw badUserInput('after', 'this cursor belongs to a list with another filter or order');
  return keys;
}

/** In every cursor of a list; a digest, so it is made once for all of them. */
function listMark(list: string): string {
  return digest(list).slice(0, 8);
}

@ObjectType({ description: 'Where a page of a connection stands.', simpleResolvers: true })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether edges follow the last one of this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, {
    description: 'Whether edges precede the first one of this page, as far as the cursor tells.',
  })
  hasPreviousPage: boolean;

  @Field(() => String, { nullable: true, description: 'The cursor of the first edge.' })
  startCursor: string | null;

  @Field(() => String, { nullable: true, description: 'The cursor of the last edge.' })
  endCursor: string | null;
}

/** The `…Edge` and `…Connection` types of a node type. */
export function connectionTypes<Node extends object>(name: string, node: () => ClassType<Node>) {
  @ObjectType(`${name}Edge`, { description: `A ${name} in a connection.`, simpleResolvers: true })
  class Edge {
    @Field(() => String, { description: 'Names this place in the list, for `after`.' })
    cursor: string;

    @Field(node, { description: 'What stands at this place.' })
    node: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of ${name}s.`, simpleResolvers: true })
  class Connection {
    @Field(() => [Edge], { description: 'The page with a cursor for each node.' })
    edges: Edge[];

    @Field(() => [node()], { description: 'The page without cursors.' })
    nodes: Node[];

    @Field(() => PageInfo, { description: 'Where this page stands.' })
    pageInfo: PageInfo;

    @Field(() => Int, { description: 'How many there are on all pages. Counted only when asked for.' })
    totalCount: number;
  }
  return { Edge, Connection };
}

/** Answers the fields of a connection; each is called only when it is selected. */
export interface ConnectionSource<Id extends string, Row> {
  /** As given to `pageQuery`. */
  readonly list: string;
  readonly after: readonly string[] | null;
  readonly page: () => Promise<Page<Id>>;
  readonly nodes: (ids: readonly Id[]) => Promise<readonly (Row | null)[]>;
  readonly count: () => Promise<number>;
}

/** The root value of a connection. Its functions are the fields: graphql-js calls them. */
export function connection<Id extends string, Row>(source: ConnectionSource<Id, Row>) {
  let reading: Promise<Page<Id>> | undefined;
  const page = () => {
    reading ??= source.page();
    return reading;
  };
  /** A node deleted since the list was read is left out: both were true, each at its moment. */
  const present = async () => {
    const { items } = await page();
    const nodes = await source.nodes(items.map(({ id }) => id));
    return items.flatMap((item, i) => {
      const node = nodes[i];
      return node ? [{ item, node }] : [];
    });
  };
  return {
    edges: async () => {
      const mark = listMark(source.list);
      return (await present()).map(({ item, node }) => ({ cursor: cursorOf(item, mark), node }));
    },
    nodes: async () => (await present()).map(({ node }) => node),
    pageInfo: async (): Promise<PageInfo> => {
      const { items, hasNextPage } = await page();
      const [first, last] = [items[0], items.at(-1)];
      const mark = listMark(source.list);
      return {
        hasNextPage,
        hasPreviousPage: source.after !== null,
        startCursor: first === undefined ? null : cursorOf(first, mark),
        endCursor: last === undefined ? null : cursorOf(last, mark),
      };
    },
    totalCount: () => source.count(),
  };
}

/** A page of a list that is held whole, sorted by `[...sort, id]` in code unit order. */
export function pageOf<Id extends string>(items: readonly PageItem<Id>[], { limit, after }: PageQuery): Page<Id> {
  const from = after === null ? 0 : items.findIndex((item) => compare([...item.sort, item.id], after) > 0);
  return from === -1 ? { items: [], hasNextPage: false } : toPage(items.slice(from, from + limit + 1), limit);
}

function compare(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? '', b[i] ?? ''];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
