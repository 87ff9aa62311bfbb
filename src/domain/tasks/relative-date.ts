/**
 * Days and instants in filters: absolute, or relative to now as an ISO 8601 duration (`-P2W`). A relative one is resolved against
 * the present day or minute, so that equal questions of one minute share an entry.
 */
import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { GraphQLDate, GraphQLDateTime } from 'graphql-scalars';
import { quoted } from '../../std/text.js';
import { MINUTE } from '../../std/time.js';

/** As a client gave it. */
export type MomentInput = { readonly at: string } | { readonly duration: string };

const DURATION =
  /^([+-])?P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;
const DAY_DURATION = /^[^T]+$/;
/** Of one part of a duration: no date is further away than Postgres can tell. */
const MAX_PART = 9999;

function momentScalar(
  name: string,
  example: string,
  absolute: GraphQLScalarType<Date, unknown>,
  pick: (at: Date) => string,
) {
  const expected = `expected ${example}, or a duration from now like -P2W`;
  const read = (value: unknown, nodes: ValueNode | null): MomentInput => {
    if (typeof value !== 'string') throw new GraphQLError(`${name}: ${expected}`, { nodes });
    if (isDuration(value) && (name === DATE_TIME || DAY_DURATION.test(value))) return { duration: value };
    let at: Date;
    try {
      at = absolute.parseValue(value);
    } catch {
      throw new GraphQLError(`${name}: ${expected}, got ${quoted(value)}`, { nodes });
    }
    return { at: pick(at) };
  };
  return new GraphQLScalarType<MomentInput, string>({
    name,
    description: `${example[0]?.toUpperCase()}${example.slice(1)}, or an ISO 8601 duration from now, like -P2W: two weeks ago.`,
    parseValue: (value) => read(value, null),
    parseLiteral: (node) => read(node.kind === Kind.STRING ? node.value : undefined, node),
    serialize: () => {
      throw new GraphQLError(`${name} is only for inputs`);
    },
  });
}

function isDuration(text: string): boolean {
  const [, , ...parts] = DURATION.exec(text) ?? [];
  return parts.length > 0 && parts.every((part) => part === undefined || Number(part) <= MAX_PART);
}

const DATE_TIME = 'DateTimeOrDuration';

export const GraphQLDateTimeOrDuration = momentScalar(
  DATE_TIME,
  'an instant like 2026-01-31T12:00:00Z',
  GraphQLDateTime,
  (at) => at.toISOString(),
);

export const GraphQLDateOrDuration = momentScalar('DateOrDuration', 'a day like 2026-01-31', GraphQLDate, (at) =>
  at.toISOString().slice(0, 10),
);

/** The instant, as `isoText` writes it. */
export function instantOf(moment: MomentInput, nowMs: number): string {
  if ('at' in moment) return moment.at;
  return addDuration(new Date(nowMs - (nowMs % MINUTE)), moment.duration).toISOString();
}

/** Until when what was resolved at `nowMs` is what it would be then: minutes end with days. */
export function validUntil(nowMs: number): number {
  return nowMs - (nowMs % MINUTE) + MINUTE;
}

/** The day in UTC. */
export function dayOf(moment: MomentInput, nowMs: number): string {
  if ('at' in moment) return moment.at;
  return addDuration(new Date(nowMs), moment.duration).toISOString().slice(0, 10);
}

/** Months and years first, as Postgres adds intervals: the 31st of a shorter month is its last day. */
function addDuration(from: Date, duration: string): Date {
  const [, sign, ...parts] = DURATION.exec(duration) as unknown as string[];
  const [years, months, weeks, days, hours, minutes, seconds] = parts.map(
    (part) => Number(part ?? 0) * (sign === '-' ? -1 : 1),
  ) as [number, number, number, number, number, number, number];
  const at = new Date(from);
  const day = at.getUTCDate();
  at.setUTCDate(1);
  at.setUTCMonth(at.getUTCMonth() + months + 12 * years);
  const lastDay = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 0)).getUTCDate();
  at.setUTCDate(Math.min(day, lastDay) + days + 7 * weeks);
  at.setTime(at.getTime() + ((hours * 60 + minutes) * 60 + seconds) * 1000);
  return at;
}
