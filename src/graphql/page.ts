/**
 * Connections according to Relay's cursor specification, in both directions: arguments, opaque cursors, and the object
 * that resolves a connection's fields.
 */
import { Buffer } from 'node:buffer';
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import { digest, type MaybePromise, mapMaybe } from '../engine/cache/index.js';
import { compareChars } from '../std/text.js';
import { badUserInput } from './errors.js';
import { isGiven } from './node.js';

export const DEFAULT_PAGE = 25;
export const MAX_PAGE = 100;
/** Increase when the meaning of a cursor's sort keys changes. */
const CURSOR_VERSION = 1;

@ArgsType()
export class PageArgs {
  @Field(() => Int, {
    nullable: true,
    description:
      `Number of items to return from the start of the list, 1-${MAX_PAGE}. Defaults to ${DEFAULT_PAGE} if ` +
      '`last` is not given either.',
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Returns only items after this cursor.' })
  after?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `Number of items to return from the end of the list, 1-${MAX_PAGE}. Not together with \`first\`.`,
  })
  last?: number | null;

  @Field(() => String, { nullable: true, description: 'Returns only items before this cursor.' })
  before?: string | null;
}

/** The sort values of one item; null where the row has no value. */
export type SortValues = readonly (string | null)[];

/** A list item: its id and sort values, which together are its cursor. */
export interface PageItem<Id extends string> {
  readonly id: Id;
  readonly sort: SortValues;
}

export interface Page<Id extends string> {
  /** In the order of the list, whichever end they were counted from. */
  readonly items: readonly PageItem<Id>[];
  /** Whether there are more items in the direction of reading. */
  readonly more: boolean;
}

/**
 * A parsed page request: up to `limit` items from one end of a list, between two optional positions. A position
 * consists of the sort values and the id of an edge.
 */
export interface PageQuery {
  readonly limit: number;
  readonly backward: boolean;
  readonly after: SortValues | null;
  readonly before: SortValues | null;
}

/**
 * @param list names the list with its filter and order; cursors of other lists are refused
 * @param isPosition whether values from a cursor are sort values and id of such a list
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

/** @param rows in the direction of the query, one more than the limit if there are more */
export function toPage<Id extends string>(rows: readonly PageItem<Id>[], { limit, backward }: PageQuery): Page<Id> {
  const items = rows.slice(0, limit);
  return { items: backward ? items.reverse() : items, more: rows.length > limit };
}

function cursorOf<Id extends string>({ id, sort }: PageItem<Id>, mark: string): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, mark, ...sort, id])).toString('base64url');
}

/** The cursor of one item of `list`, named as for `pageQuery`, for edges that mutations return. */
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

/** Part of every cursor of a list. A digest, so it is computed once per list. */
function listMark(list: string): string {
  return digest(list).slice(0, 8);
}

@ObjectType({ description: 'Pagination state of a page of a connection.', simpleResolvers: true })
export class PageInfo {
  @Field(() => Boolean, {
    description: 'Whether more items follow this page. When paging with `last`, true exactly if `before` was given.',
  })
  hasNextPage: boolean;

  @Field(() => Boolean, {
    description: 'Whether more items precede this page. When paging with `first`, true exactly if `after` was given.',
  })
  hasPreviousPage: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first edge. Null if the page is empty.' })
  startCursor: string | null;

  @Field(() => String, { nullable: true, description: 'Cursor of the last edge. Null if the page is empty.' })
  endCursor: string | null;
}

/** Creates the `…Edge` and `…Connection` types of a node type. */
export function connectionTypes<Node extends object>(name: string, node: () => ClassType<Node>) {
  const { Edge, Connection: Uncounted } = uncountedConnectionTypes(name, node);

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${name} objects.`, simpleResolvers: true })
  class Connection extends Uncounted {
    @Field(() => Int, { description: 'Number of items on all pages. Counted only if selected.' })
    totalCount: number;
  }
  return { Edge, Connection };
}

/** The same without `totalCount`, for lists that grow with every write. */
export function uncountedConnectionTypes<Node extends object>(name: string, node: () => ClassType<Node>) {
  @ObjectType(`${name}Edge`, {
    description: `An item of a list of ${name} objects, with its cursor.`,
    simpleResolvers: true,
  })
  class Edge {
    @Field(() => String, { description: 'Opaque cursor of this edge, for `after` and `before`.' })
    cursor: string;

    @Field(node, { description: 'The item itself.' })
    node: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${name} objects.`, simpleResolvers: true })
  class Connection {
    @Field(() => [Edge], { description: 'Items of this page with their cursors.', complexity: 0 })
    edges: Edge[];

    @Field(() => [node()], { description: 'Items of this page without cursors.' })
    nodes: Node[];

    @Field(() => PageInfo, { description: 'Pagination state of this page.', complexity: 0 })
    pageInfo: PageInfo;
  }
  return { Edge, Connection };
}

/** Resolves the fields of a connection. Each function is called only if its field is selected. */
export interface ConnectionSource<Id extends string, Row> {
  /** As passed to `pageQuery`. */
  readonly list: string;
  readonly query: PageQuery;
  readonly page: () => MaybePromise<Page<Id>>;
  /** Called before `page`, if the nodes are shown. */
  readonly showsNodes?: () => void;
  readonly nodes: (ids: readonly Id[]) => MaybePromise<readonly (Row | null)[]>;
  /** Absent of lists without `totalCount`. */
  readonly count?: () => MaybePromise<number>;
}

/** The root value of a connection. graphql-js calls its functions as resolvers. */
export function connection<Id extends string, Row>(source: ConnectionSource<Id, Row>) {
  let reading: MaybePromise<Page<Id>> | undefined;
  const page = () => {
    reading ??= source.page();
    return reading;
  };
  /**
   * A node deleted after the list was read is null and is omitted; list and node were each read at a moment of their
   * own.
   */
  const nodes = () => {
    source.showsNodes?.();
    return mapMaybe(page(), ({ items }) =>
      mapMaybe(source.nodes(items.map(({ id }) => id)), (rows) => ({ items, rows })),
    );
  };
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
    ...(source.count && { totalCount: source.count }),
  };
}

/**
 * A page of a list that is in memory, sorted by `[...sort, id]` in code point order, as SQL sorts it. No value is null.
 */
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
