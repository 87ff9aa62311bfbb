/** A value that Postgres takes as equal to another names the same tag: else a write of the one would leave the other cached. */
import {
  bigint,
  char,
  customType,
  date,
  integer,
  numeric,
  pgEnum,
  pgTable,
  serial,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import { expect, test } from 'vitest';
import { rowSets } from '../../src/engine/postgres/row-sets.js';

const kind = pgEnum('kind', ['novel', 'essay']);
const things = pgTable('things', {
  id: serial().primaryKey(),
  number: integer(),
  big: bigint({ mode: 'bigint' }),
  token: uuid(),
  day: date({ mode: 'date' }),
  kind: kind(),
  name: text(),
});
const rows = rowSets(things, {
  byId: [things.id],
  byNumber: [things.number],
  byBig: [things.big],
  byToken: [things.token],
  byDay: [things.day],
  byKind: [things.kind],
  byName: { columns: [things.name], ignores: [things.number] },
  byBoth: [things.number, things.token],
});
const UUID = '01890a5d-ac96-774b-bcce-b302099a8057';
/** As a GraphQL ID brings it. */
const sent = <T>(value: string) => value as unknown as T;

test.each([
  [rows.byId(sent('07')), 'things:id=7'],
  [rows.byId(sent(' 7 ')), 'things:id=7'],
  [rows.byNumber(-0), 'things:number=0'],
  [rows.byBig(9_007_199_254_740_993n), 'things:big=9007199254740993'],
  [rows.byToken(UUID.toUpperCase()), `things:token=${UUID}`],
  [rows.byToken(`{${UUID.replaceAll('-', '')}}`), `things:token=${UUID}`],
  [rows.byDay(new Date('2026-02-28T10:00:00Z')), 'things:day=2026-02-28'],
  [rows.byKind('novel'), 'things:kind=novel'],
  [rows.byName(' A'), 'things:name= A'],
  [rows.byBoth(1, UUID), `things:number,token=1,${UUID}`],
])('%j is the tag of every equal value', (tags, tag) => {
  expect(tags).toEqual([tag, 'things']);
});

test.each([
  ['a text for an integer', () => rows.byId(sent('seven'))],
  ['a fraction for an integer', () => rows.byId(7.5)],
  ['no uuid', () => rows.byToken('7')],
  ['nothing', () => rows.byId(sent(undefined as never))],
])('%s is refused with a code', (_, call) => {
  expect(call).toThrow(expect.objectContaining({ code: 'POLICY' }));
});

test('types with several texts for equal values are refused where they are declared', () => {
  const citext = customType<{ data: string }>({ dataType: () => 'citext' });
  const odd = pgTable('odd', {
    a: char({ length: 3 }),
    b: citext(),
    c: numeric(),
    d: timestamp(),
    e: numeric().array(),
  });
  for (const column of [odd.a, odd.b, odd.c, odd.d, odd.e]) {
    expect(() => rowSets(odd, { by: [column] })).toThrow(/expected an integer, uuid, text/);
  }
});

test('a row-set cannot take the name of a member of the declaration', () => {
  expect(() => rowSets(things, { table: [things.id] })).toThrow(/this name is taken/);
});
