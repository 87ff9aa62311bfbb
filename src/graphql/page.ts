/** Connections after Relay's cursor specification, in both directions: arguments, opaque cursors, and the object that answers a connection's fields. */
import { Buffer } from 'node:buffer';
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import { digest, type MaybePromise, mapMaybe } from '../engine/cache/index.js';
import { compareChars } from '../std/text.js';
import { badUserInput } from './errors.js';
import { isGiven } from './node.js';

export const DEFAULT_PAGE = 25;
export const MAX_PAGE = 100;
/** Raise it when the sort keys in a cursor change their meaning. */
const CURSOR_VERSION = 1;

@ArgsType()
export class PageArgs {
  @Field(() => Int, {
    nullable: true,
    description: `How many to return from the front: 1 to ${MAX_PAGE}; ${DEFAULT_PAGE} when neither \`first\` nor \`last\` is given.`,
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Return only what follows the edge with this cursor.' })
  after?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `How many to return from the end: 1 to ${MAX_PAGE}. Not together with \`first\`.`,
  })
  last?: number | null;

  @Field(() => String, { nullable: true, description: 'Return only what precedes the edge with this cursor.' })
  before?: string | null;
}

/** What a list is sorted by at one place; null where the row has no value. */
export type SortValues = readonly (string | null)[];

/** A list's entry: the id and the values it is sorted by, which are its cursor. */
export interface PageItem<Id extends string> {
  readonly id: Id;
  readonly sort: SortValues;
}

export interface Page<Id extends string> {
  /** In the list's order, whichever end they were counted from. */
  readonly items: readonly PageItem<Id>[];
  /** Whether there are more in the direction in which the page was read. */
  readonly more: boolean;
}

/** What a page is asked with: between two places, each the sort values and id of an edge, counted from one end. */
export interface PageQuery {
  readonly limit: number;
  readonly backward: boolean;
  readonly after: SortValues | null;
  readonly before: SortValues | null;
}

/**
 * @param list names the list with its filter and order: a cursor of another list is refused.
 * @param isPosition whether values from a cursor are sort values and id of such a list.
 * @throws BAD_USER_INPUT
 */
export function pageQuery(
  { first, after, last, before }: PageArgs,
  list: string,
  isPosition: (keys: SortValues) => boolean,
): PageQuery {
  const backward = isGiven(last);
  if (backward && isGiven(first)) throw badUserInput('last', 'expected only one of first and last');
  const place = (cursor: string | null | undefined, argument: string) =>
    isGiven(cursor) ? readCursor(cursor, list, argument, isPosition) : null;
  return {
    limit: backward ? pageSize(last, 'last') : pageSize(first ?? DEFAULT_PAGE, 'first'),
    backward,
    after: place(after, 'after'),
    before: place(before, 'before'),
  };
}

function pageSize(size: number, argument: string): number {
  if (size < 1 || size > MAX_PAGE) throw badUserInput(argument, `expected 1 to ${MAX_PAGE}, got ${size}`);
  return size;
}

/** `rows` come in the direction of the query, one more than asked for, which tells whether there are more. */
export function toPage<Id extends string>(rows: readonly PageItem<Id>[], { limit, backward }: PageQuery): Page<Id> {
  const items = rows.slice(0, limit);
  return { items: backward ? items.reverse() : items, more: rows.length > limit };
}

function cursorOf<Id extends string>({ id, sort }: PageItem<Id>, mark: string): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, mark, ...sort, id])).toString('base64url');
}

/** The cursor of one item of `list`, named as for `pageQuery`, without its page: for edges that mutations answer. */
export function edgeCursor<Id extends string>(list: string, item: PageItem<Id>): string {
  return cursorOf(item, listMark(list));
}

function readCursor(
  cursor: string,
  list: string,
  argument: string,
  isPosition: (keys: SortValues) => boolean,
): SortValues {
  const refuse = () => badUserInput(argument, 'expected a cursor of an edge of this connection');
  const [version, mark, ...keys] = parseCursor(cursor) ?? [];
  if (version !== CURSOR_VERSION || typeof mark !== 'string' || !keys.every(isSortValue)) throw refuse();
  if (mark !== listMark(list)) {
    throw badUserInput(argument, 'this cursor belongs to a list with another filter or order');
  }
  if (!isPosition(keys)) throw refuse();
  return keys;
}

function parseCursor(cursor: string): unknown[] | undefined {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(parts) ? parts : undefined;
  } catch {
    return undefined;
  }
}

const isSortValue = (value: unknown): value is string | null => value === null || typeof value === 'string';

/** In every cursor of a list; a digest, so it is made once for all of them. */
function listMark(list: string): string {
  return digest(list).slice(0, 8);
}

@ObjectType({ description: 'Where a page of a connection stands.', simpleResolvers: true })
export class PageInfo {
  @Field(() => Boolean, {
    description: 'Whether edges follow the last one of this page; with `last`: as far as `before` tells.',
  })
  hasNextPage: boolean;

  @Field(() => Boolean, {
    description: 'Whether edges precede the first one of this page; with `first`: as far as `after` tells.',
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
    @Field(() => String, { description: 'Names this place in the list, for `after` and `before`.' })
    cursor: string;

    @Field(node, { description: 'What stands at this place.' })
    node: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of ${name}s.`, simpleResolvers: true })
  class Connection {
    @Field(() => [Edge], { description: 'The page with a cursor for each node.', complexity: 0 })
    edges: Edge[];

    @Field(() => [node()], { description: 'The page without cursors.' })
    nodes: Node[];

    @Field(() => PageInfo, { description: 'Where this page stands.', complexity: 0 })
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
  readonly query: PageQuery;
  readonly page: () => MaybePromise<Page<Id>>;
  readonly nodes: (ids: readonly Id[]) => MaybePromise<readonly (Row | null)[]>;
  readonly count: () => MaybePromise<number>;
}

/** The root value of a connection. Its functions are the fields: graphql-js calls them. */
export function connection<Id extends string, Row>(source: ConnectionSource<Id, Row>) {
  let reading: MaybePromise<Page<Id>> | undefined;
  const page = () => {
    reading ??= source.page();
    return reading;
  };
  /** A node deleted since the list was read is null, and left out: both were true, each at its moment. */
  const nodes = () =>
    mapMaybe(page(), ({ items }) => mapMaybe(source.nodes(items.map(({ id }) => id)), (rows) => ({ items, rows })));
  return {
    edges: () =>
      mapMaybe(nodes(), ({ items, rows }) => {
        const mark = listMark(source.list);
        return items.flatMap((item, i) => (rows[i] ? [{ cursor: cursorOf(item, mark), node: rows[i] }] : []));
      }),
    nodes: () => mapMaybe(nodes(), ({ rows }) => rows.filter((row) => row !== null)),
    pageInfo: () =>
      mapMaybe(page(), ({ items, more }): PageInfo => {
        const [first, last] = [items[0], items.at(-1)];
        const mark = listMark(source.list);
        const { backward, after, before } = source.query;
        return {
          hasNextPage: backward ? before !== null : more,
          hasPreviousPage: backward ? more : after !== null,
          startCursor: first === undefined ? null : cursorOf(first, mark),
          endCursor: last === undefined ? null : cursorOf(last, mark),
        };
      }),
    totalCount: () => source.count(),
  };
}

/** A page of a list that is held whole, sorted by `[...sort, id]` in code point order, as SQL sorts it; nothing in it is null. */
export function pageOf<Id extends string>(items: readonly PageItem<Id>[], query: PageQuery): Page<Id> {
  const { limit, backward, after, before } = query;
  const place = (item: PageItem<Id>) => [...item.sort, item.id];
  const between = items.filter(
    (item) =>
      (after === null || compare(place(item), after) > 0) && (before === null || compare(place(item), before) < 0),
  );
  return toPage(backward ? between.slice(-limit - 1).reverse() : between.slice(0, limit + 1), query);
}

function compare(a: SortValues, b: SortValues): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? '', b[i] ?? ''];
    if (x !== y) return compareChars(x, y);
  }
  return 0;
}
