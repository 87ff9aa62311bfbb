/** Turns the trace of a run into levels and lines, and tells what changed since the run before. */
import type { Outcome, RedisTrip, Trace, TracedCall, TracedStatement, TracedWriteStep } from './types.js';

/** Calls of one field from one source with one outcome: a list of 50 tasks has 50 assignees, and one line. */
export interface FieldLine {
  readonly kind: 'field';
  readonly id: string;
  /** The field and its source, without the outcome: what is compared between runs. */
  readonly subject: string;
  readonly coordinate: string;
  readonly name: string;
  readonly outcome: Outcome;
  readonly reason: string | undefined;
  readonly calls: readonly TracedCall[];
  readonly startMs: number;
  readonly endMs: number;
}

export interface TripLine {
  readonly kind: 'trip';
  readonly id: string;
  readonly trip: RedisTrip;
  readonly startMs: number;
  readonly endMs: number;
}

export interface StatementLine {
  readonly kind: 'statement';
  readonly id: string;
  readonly statement: TracedStatement;
  readonly startMs: number;
  readonly endMs: number;
}

export interface WriteLine {
  readonly kind: 'write';
  readonly id: string;
  readonly write: TracedWriteStep;
  readonly startMs: number;
  readonly endMs: number;
}

export type Line = FieldLine | TripLine | StatementLine | WriteLine;

/** What begins with one read of Redis, up to the next one. */
export interface Level {
  readonly startMs: number;
  readonly lines: readonly Line[];
}

export interface Run {
  readonly data: unknown;
  readonly errors: readonly { readonly message: string }[];
  readonly trace: Trace;
  readonly levels: readonly Level[];
  /** The length of the time axis. */
  readonly endMs: number;
}

export function runOf(data: unknown, errors: Run['errors'], trace: Trace): Run {
  const lines = [...tripLines(trace), ...statementLines(trace), ...writeLines(trace), ...fieldLines(trace)];
  const endMs = Math.max(trace.totals.ms, ...lines.map((line) => line.endMs));
  return { data, errors, trace, levels: levelsOf(lines), endMs };
}

function tripLines({ redis = [] }: Trace): TripLine[] {
  return redis.map((trip) => ({
    kind: 'trip',
    id: `trip ${trip.trip}`,
    trip,
    startMs: trip.startMs,
    endMs: trip.startMs + trip.ms,
  }));
}

function statementLines({ sql = [], totals }: Trace): StatementLine[] {
  return sql.map((statement, i) => ({
    kind: 'statement',
    id: `statement ${i}`,
    statement,
    startMs: statement.startMs,
    endMs: endOf(statement, totals.ms),
  }));
}

function writeLines({ writes = [], totals }: Trace): WriteLine[] {
  return writes.map((write, i) => ({
    kind: 'write',
    id: `write ${i}`,
    write,
    startMs: write.startMs,
    endMs: endOf(write, totals.ms),
  }));
}

/** What had not ended when the answer was made is drawn up to there. */
function endOf({ startMs, ms }: TracedStatement | TracedWriteStep, answeredMs: number): number {
  return ms === null ? Math.max(startMs, answeredMs) : startMs + ms;
}

function fieldLines({ calls }: Trace): FieldLine[] {
  const groups = new Map<string, TracedCall[]>();
  for (const call of calls) {
    const { name, outcome, reason = '', roundTrips } = call;
    const id = [fieldOf(call), name, outcome, reason, roundTrips?.[0] ?? ''].join(' ');
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [call]);
    else group.push(call);
  }
  return [...groups].map(([id, group]) => {
    const first = group[0] as TracedCall;
    return {
      kind: 'field',
      id,
      subject: subjectOf(first),
      coordinate: fieldOf(first),
      name: first.name,
      outcome: first.outcome,
      reason: first.reason,
      calls: group,
      startMs: Math.min(...group.map(({ startMs }) => startMs)),
      endMs: Math.max(...group.map(({ startMs, ms }) => startMs + ms)),
    };
  });
}

function fieldOf({ coordinate }: TracedCall): string {
  return coordinate ?? '(before fields)';
}

export function subjectOf(call: TracedCall): string {
  return `${fieldOf(call)} ${call.name}`;
}

/** A level begins with the read that a line waits for, or else with the last one before it. */
function levelsOf(lines: readonly Line[]): Level[] {
  const starts = [...new Set(lines.filter(({ kind }) => kind === 'trip').map(({ startMs }) => startMs))].sort(
    (a, b) => a - b,
  );
  const trips = new Map(lines.flatMap((line) => (line.kind === 'trip' ? [[line.trip.trip, line.startMs]] : [])));
  const byStart = new Map<number, Line[]>();
  for (const line of lines) {
    const awaited = line.kind === 'field' ? trips.get(line.calls[0]?.roundTrips?.[0] ?? -1) : undefined;
    const start = awaited ?? starts.findLast((one) => one <= line.startMs) ?? starts[0] ?? 0;
    const level = byStart.get(start);
    if (level === undefined) byStart.set(start, [line]);
    else level.push(line);
  }
  const order = { trip: 0, field: 1, statement: 2, write: 2 };
  return [...byStart]
    .sort(([a], [b]) => a - b)
    .map(([startMs, level]) => ({
      startMs,
      lines: level.sort((a, b) => order[a.kind] - order[b.kind] || a.startMs - b.startMs),
    }));
}

/** By field and source: its outcomes, such as `loaded 3`. */
export function outcomesOf({ trace }: Run): ReadonlyMap<string, ReadonlyMap<Outcome, number>> {
  const bySubject = new Map<string, Map<Outcome, number>>();
  for (const call of trace.calls) {
    const subject = subjectOf(call);
    const counts = bySubject.get(subject) ?? new Map<Outcome, number>();
    counts.set(call.outcome, (counts.get(call.outcome) ?? 0) + 1);
    bySubject.set(subject, counts);
  }
  return bySubject;
}

export interface TaskInAnswer {
  readonly id: string;
  readonly label: string;
  readonly title: string | undefined;
  readonly priority: string | undefined;
}

const MAX_TASKS = 100;

/** The tasks of an answer that can be changed: those whose `id` was asked for. */
export function tasksIn(data: unknown, found = new Map<string, TaskInAnswer>()): readonly TaskInAnswer[] {
  if (found.size >= MAX_TASKS || typeof data !== 'object' || data === null) return [...found.values()];
  const { id, identifier, title, priority } = data as Record<string, unknown>;
  if (typeof id === 'string' && id.startsWith('task_') && !found.has(id)) {
    const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
    const label = [textOf(identifier) ?? id, textOf(title)].filter((text) => text !== undefined).join(' · ');
    found.set(id, { id, label, title: textOf(title), priority: textOf(priority) });
  }
  for (const value of Object.values(data)) tasksIn(value, found);
  return [...found.values()];
}

/** Names of the operations of a document; a document without names has none. */
export function operationNames(document: string): readonly string[] {
  const text = document.replaceAll(/#.*/g, '').replaceAll(/"""[\s\S]*?"""|"(\\.|[^"\\])*"/g, '""');
  return [...text.matchAll(/(?:^|[\s}])(?:query|mutation)\s+([_A-Za-z]\w*)/g)].map(([, name]) => name as string);
}

export interface Effect {
  readonly subject: string;
  readonly field: string;
  readonly name: string;
  /** Which of the written tags its values have. */
  readonly tags: readonly string[];
  /** What the next run did. Empty: it did not read the field. */
  readonly outcomes: ReadonlyMap<Outcome, number>;
}

/** The fields of a run whose values a write made old, with what the run after the write did. */
export function effectsOf(before: Run, tags: readonly string[], after: Run): readonly Effect[] {
  const written = new Set(tags);
  const bySubject = new Map<string, { call: TracedCall; tags: Set<string> }>();
  for (const call of before.trace.calls) {
    const touched = call.tags.filter((tag) => written.has(tag));
    if (touched.length === 0) continue;
    const known = bySubject.get(subjectOf(call)) ?? { call, tags: new Set<string>() };
    for (const tag of touched) known.tags.add(tag);
    bySubject.set(subjectOf(call), known);
  }
  const outcomes = outcomesOf(after);
  return [...bySubject].map(([subject, { call, tags }]) => ({
    subject,
    field: fieldOf(call),
    name: call.name,
    tags: [...tags],
    outcomes: outcomes.get(subject) ?? new Map(),
  }));
}
