/** Reads the cells of one row of a CSV file as fields of a task, and gathers the faults of the row. */
import { readText, TEXTS, type TextRule, toLine } from '../../std/text.js';
import { isStorableKey } from '../tasks/sort-key.js';
import { MAX_ESTIMATE, type TaskPriority, type TaskStatus, taskPriority, taskStatus } from '../tasks/task.table.js';
import { handleFrom } from '../users/handle.js';
import { MAX_HANDLE_CHARS, MAX_NAME_CHARS } from '../users/user.table.js';
import type { FaultItem, Person } from './items.js';
import { isDay, plain, shown } from './values.js';

/** Words for statuses and priorities that a user adds: `{ QA: 'IN_REVIEW' }`. */
export type ValueNames = ReadonlyMap<string, string>;

const STATUS_WORDS: Readonly<Record<TaskStatus, readonly string[]>> = {
  BACKLOG: ['backlog', 'triage'],
  TODO: ['todo', 'open', 'new', 'reopened', 'unstarted', 'selectedfordevelopment'],
  IN_PROGRESS: ['inprogress', 'started', 'doing', 'indevelopment'],
  IN_REVIEW: ['inreview', 'review', 'codereview'],
  DONE: ['done', 'closed', 'resolved', 'completed', 'complete'],
  CANCELED: ['canceled', 'cancelled', 'duplicate', 'wontdo', 'wontfix', 'declined', 'rejected'],
};

const PRIORITY_WORDS: Readonly<Record<TaskPriority, readonly string[]>> = {
  NONE: ['none', 'nopriority', 'notset'],
  LOW: ['low', 'lowest', 'minor', 'trivial'],
  MEDIUM: ['medium', 'normal'],
  HIGH: ['high', 'major'],
  URGENT: ['urgent', 'highest', 'critical', 'blocker'],
};

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const NOON_HOUR = 12;

export class RowFields {
  readonly faults: FaultItem[] = [];

  constructor(
    readonly at: string,
    private readonly names: ValueNames,
  ) {}

  fault(field: string, message: string): undefined {
    this.faults.push({ kind: 'fault', message: `${this.at}: ${field}: ${message}` });
    return undefined;
  }

  text(field: string, rule: TextRule, given: string): string | undefined {
    const read = readText(rule, given);
    return 'text' in read ? read.text : this.fault(field, read.fault);
  }

  title(field: string, given: string): string | undefined {
    return this.text(field, TEXTS.taskTitle, given);
  }

  description(field: string, given: string): string | null | undefined {
    const text = this.text(field, TEXTS.taskDescription, given);
    return text === '' ? null : text;
  }

  status(field: string, given: string): TaskStatus | undefined {
    return this.knownStatus(given) ?? this.fault(field, expectedOneOf(taskStatus.enumValues, given));
  }

  /** Undefined if the word says nothing; other columns may. */
  knownStatus(given: string): TaskStatus | undefined {
    return wordIn(STATUS_WORDS, this.names.get(plain(given)) ?? given);
  }

  priority(field: string, given: string): TaskPriority | undefined {
    if (given === '') return 'NONE';
    const found = wordIn(PRIORITY_WORDS, this.names.get(plain(given)) ?? given);
    return found ?? this.fault(field, expectedOneOf(taskPriority.enumValues, given));
  }

  /** The labels in order, each once. */
  labels(field: string, given: readonly string[]): string[] | undefined {
    const read = given.flatMap((name) => (name === '' ? [] : (this.text(field, TEXTS.labelName, name) ?? [])));
    return [...new Set(read)];
  }

  person(field: string, given: string): Person | null | undefined {
    if (given === '') return null;
    const handle = handleFrom(given, MAX_HANDLE_CHARS);
    if (handle === '') return this.fault(field, `expected the name of a user, got ${shown(given)}`);
    return { handle, name: toLine(given, MAX_NAME_CHARS) || handle };
  }

  /** A name that may be shown, or `otherwise`. */
  lineOr(given: string, otherwise: string): string {
    return toLine(given, TEXTS.projectName.maxChars) || otherwise;
  }

  instant(field: string, given: string): string | undefined {
    const atMs = instantMs(given);
    if (atMs !== undefined && atMs >= 0) return new Date(atMs).toISOString();
    return this.fault(
      field,
      `expected a date and time after 1970 like 2026-11-30T17:05:00Z or 30/Nov/26 5:05 PM, got ${shown(given)}`,
    );
  }

  estimate(field: string, given: string): number | null | undefined {
    if (given === '') return null;
    if (/^\d{1,4}$/.test(given) && Number(given) <= MAX_ESTIMATE) return Number(given);
    return this.fault(field, `expected 0 to ${MAX_ESTIMATE} points, got ${shown(given)}`);
  }

  /** A key of the manual order. */
  sortOrder(field: string, given: string): string | null | undefined {
    if (given === '' || isStorableKey(given)) return given || null;
    return this.fault(field, `expected a key of the manual order like a3V, got ${shown(given)}`);
  }

  /** A day. Of a time, the day whose midnight is nearest: some exports write midnight in another time zone. */
  day(field: string, given: string): string | null | undefined {
    if (given === '') return null;
    if (isDay(given)) return given;
    const atMs = instantMs(given);
    if (atMs === undefined) return this.fault(field, `expected a day like 2026-11-30, got ${shown(given)}`);
    return new Date(atMs + NOON_HOUR * 3_600_000).toISOString().slice(0, 10);
  }
}

/** Times without a zone are in UTC. */
function instantMs(given: string): number | undefined {
  const iso = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(given);
  if (iso !== null) {
    const [, day = '', time = '00:00', zone = 'Z'] = iso;
    return isDay(day) ? valid(Date.parse(`${day}T${time}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`)) : undefined;
  }
  // JavaScript's own form: Wed May 13 2026 11:21:41 GMT+0000 (GMT+00:00)
  if (/^[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d{4} \d\d:\d\d:\d\d GMT[+-]\d{4}( \(.*\))?$/.test(given)) {
    return valid(Date.parse(given));
  }
  return jiraMs(given);
}

/** `30/Nov/26 5:05 PM`, the default of Jira; also with four digits of the year, 24 hours, or without a time. */
function jiraMs(given: string): number | undefined {
  const parts = /^(\d{1,2})\/([a-z]{3})\/(\d{2}|\d{4})(?: (\d{1,2}):(\d\d)(?::\d\d)?(?: ?([ap])m)?)?$/i.exec(given);
  if (parts === null) return undefined;
  const [, day = '', monthName = '', year = '', hour = '0', minute = '0', half] = parts;
  const month = MONTHS.indexOf(monthName.toLowerCase());
  const text = `${year.padStart(4, '20')}-${String(month + 1).padStart(2, '0')}-${day.padStart(2, '0')}`;
  if (month < 0 || !isDay(text) || Number(minute) > 59 || Number(hour) > (half ? 12 : 23)) return undefined;
  const hours = half === undefined ? Number(hour) : (Number(hour) % 12) + (half.toLowerCase() === 'p' ? 12 : 0);
  return Date.parse(`${text}T00:00:00Z`) + (hours * 60 + Number(minute)) * 60_000;
}

function valid(atMs: number): number | undefined {
  return Number.isNaN(atMs) ? undefined : atMs;
}

function wordIn<W extends string>(words: Readonly<Record<W, readonly string[]>>, given: string): W | undefined {
  const word = plain(given);
  return (Object.keys(words) as W[]).find((value) => plain(value) === word || words[value].includes(word));
}

function expectedOneOf(values: readonly string[], given: string): string {
  return `expected ${values.slice(0, -1).join(', ')} or ${values.at(-1)}, or a word that --values maps, got ${shown(given)}`;
}
