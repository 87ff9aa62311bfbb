/**
 * Parses a filter into a condition. Names (a project key, a handle, a label name) are resolved to ids first, each
 * through its own cached source. Cached lists therefore contain ids only, and no list depends on a name.
 */
import { isInstant } from '../../db/columns.js';
import type { LabelId, ProjectId } from '../../db/ids.js';
import type { MaybePromise } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { isGiven, readId } from '../../graphql/node.js';
import { labelsOfProject } from '../labels/label.loaders.js';
import { projectIdByKey } from '../projects/project.loaders.js';
import { PROJECT_KEY } from '../projects/project.table.js';
import { dayOf, instantOf, type MomentInput } from './relative-date.js';
import {
  BOUNDS,
  type Bounds,
  comparand,
  descriptionText,
  type Operators,
  refuseNulls,
  searchText,
  titleText,
  within,
} from './task.comparands.js';
import { MAX_IN, type NameComparator, PARTIAL } from './task.comparators.js';
import {
  all,
  any,
  BLOCKED,
  type Column,
  type Comparison,
  type Condition,
  conjuncts,
  not,
  oneOf,
  onlyAssignees,
  onlyLabels,
  someAssignee,
  someLabel,
  TRUE,
  together,
} from './task.condition.js';
import {
  type LabelFilter,
  MAX_BLOCKED,
  MAX_CONDITIONS,
  MAX_FILTER_DEPTH,
  MAX_FILTERS,
  type TaskFilter,
  type UserFilter,
} from './task.filter-inputs.js';
import { isDay } from './task.list-query.js';
import { taskPriority } from './task.table.js';
import { type Comparisons, type ToText, userCondition, userIds } from './task.user-filter.js';

export interface Where {
  readonly condition: Condition;
  /** Whether some part of it is relative to the current time. */
  readonly relative: boolean;
}

/**
 * @param projectIds the projects in which label names are looked up
 * @throws BAD_USER_INPUT naming the part at fault, for example `filter.or.0.status.in`
 */
export async function readFilter(
  context: Context,
  filter: TaskFilter | null | undefined,
  projectIds: readonly ProjectId[],
  nowMs: number,
): Promise<Where> {
  const reading = new Reading(context, projectIds, nowMs);
  const condition = filter ? await reading.filter(filter, 'filter', 1) : TRUE;
  return { condition, relative: reading.relative };
}

/** Adds a condition that must hold besides the others. */
type Add = (condition: Condition | Promise<Condition>) => void;

/** Items of a task that a filter selects: how it names them, and the conditions on those that it selects. */
interface Items<F, I> {
  readonly idsOf: (filter: F, at: string) => Promise<readonly I[] | 'any'>;
  readonly some: (ids: readonly I[] | 'any') => Condition;
  /** On all other items. */
  readonly only: (ids: readonly I[] | 'any') => Condition;
}

class Reading implements Comparisons {
  relative = false;
  #conditions = 0;
  #filters = 0;
  #blocked = 0;

  constructor(
    readonly context: Context,
    readonly projectIds: readonly ProjectId[],
    readonly nowMs: number,
  ) {}

  async filter(filter: TaskFilter, at: string, depth: number): Promise<Condition> {
    if (depth > MAX_FILTER_DEPTH) throw badUserInput(at, `expected a filter nested at most ${MAX_FILTER_DEPTH} deep`);
    refuseNulls(filter, at);
    const given: (Condition | Promise<Condition>)[] = [];
    const add = (condition: Condition | Promise<Condition>) => {
      // If a later part throws first, this promise is never awaited; its rejection must not count as unhandled.
      if (condition instanceof Promise) condition.catch(() => {});
      given.push(condition);
    };
    this.#combinations(filter, at, depth, add);
    this.#fields(filter, at, add);
    this.#relations(filter, at, add);
    if (isGiven(filter.search)) add(this.#search(filter.search, `${at}.search`));
    return all(await Promise.all(given));
  }

  #combinations(filter: TaskFilter, at: string, depth: number, add: Add): void {
    const nested = (filters: readonly TaskFilter[], name: string) => {
      this.#countFilters(filters.length, `${at}.${name}`);
      return Promise.all(filters.map((one, i) => this.filter(one, `${at}.${name}.${i}`, depth + 1)));
    };
    if (filter.and) add(nested(filter.and, 'and').then(all));
    if (filter.or) add(nested(filter.or, 'or').then(any));
    if (filter.not) add(this.filter(filter.not, `${at}.not`, depth + 1).then(not));
  }

  #fields(filter: TaskFilter, at: string, add: Add): void {
    if (filter.id) add(this.values('id', filter.id, `${at}.id`, (text, where) => readId('task', text, where)));
    if (filter.number) add(this.#number('number', filter.number, `${at}.number`));
    if (filter.title) add(this.#text('title', filter.title, `${at}.title`));
    if (filter.description) add(this.#text('description', filter.description, `${at}.description`));
    if (filter.status) add(this.values('status', filter.status, `${at}.status`, String));
    if (filter.priority) add(this.#priority(filter.priority, `${at}.priority`));
    for (const column of ['dueDate', 'startDate'] as const) {
      const comparator = filter[column];
      if (comparator) add(this.#day(column, comparator, `${at}.${column}`));
    }
    if (filter.estimate) add(this.#estimate(filter.estimate, `${at}.estimate`));
    for (const column of ['createdAt', 'updatedAt', 'completedAt'] as const) {
      const comparator = filter[column];
      if (comparator) add(this.#instant(column, comparator, `${at}.${column}`));
    }
  }

  #relations(filter: TaskFilter, at: string, add: Add): void {
    if (filter.project) add(this.#project(filter.project, `${at}.project`));
    for (const [column, user] of [
      ['assigneeId', 'assignee'],
      ['creatorId', 'creator'],
    ] as const) {
      const comparator = filter[user];
      if (comparator) add(userCondition(this, column, comparator, `${at}.${user}`));
    }
    if (filter.assignees) {
      const idsOf = (user: UserFilter, where: string) => userIds(this, user, where);
      const users = { idsOf, some: someAssignee, only: onlyAssignees };
      add(this.#quantified(filter.assignees, `${at}.assignees`, users));
    }
    if (filter.parent) add(this.#parent(filter.parent, `${at}.parent`));
    if (filter.labels) {
      const labels = { idsOf: this.#labelIds.bind(this), some: someLabel, only: onlyLabels };
      add(this.#quantified(filter.labels, `${at}.labels`, labels));
    }
    if (isGiven(filter.isBlocked)) {
      this.count(`${at}.isBlocked`);
      if (++this.#blocked > MAX_BLOCKED)
        throw badUserInput(`${at}.isBlocked`, `expected isBlocked at most ${MAX_BLOCKED} times`);
      add(filter.isBlocked ? BLOCKED : not(BLOCKED));
    }
  }

  /** @throws before the filters are read, if there are too many */
  #countFilters(more: number, at: string): void {
    this.#filters += more;
    if (this.#filters > MAX_FILTERS) throw badUserInput(at, `expected at most ${MAX_FILTERS} filters in total`);
  }

  /** @throws if there are too many comparisons */
  count(at: string): void {
    if (++this.#conditions > MAX_CONDITIONS) throw badUserInput(at, `expected at most ${MAX_CONDITIONS} comparisons`);
  }

  values<T>(column: Column, comparator: Operators<T>, at: string, toText: ToText<T>): Condition {
    refuseNulls(comparator, at);
    const { eq, neq, in: among, nin } = comparator;
    const list = (values: readonly T[], name: string) => {
      if (values.length > MAX_IN) throw badUserInput(`${at}.${name}`, `expected at most ${MAX_IN} values`);
      return values.map((value) => toText(value, `${at}.${name}`));
    };
    const conditions: Condition[] = [];
    if (isGiven(eq)) conditions.push(oneOf(column, [toText(eq, `${at}.eq`)]));
    if (isGiven(neq)) conditions.push(not(oneOf(column, [toText(neq, `${at}.neq`)])));
    if (isGiven(among)) conditions.push(oneOf(column, list(among, 'in')));
    if (isGiven(nin)) conditions.push(not(oneOf(column, list(nin, 'nin'))));
    for (const _ of conditions) this.count(at);
    return together(conditions);
  }

  #bounds<T>(column: Column, comparator: Bounds<T>, at: string, toText: ToText<T>): Condition {
    refuseNulls(comparator, at);
    const conditions: Condition[] = [];
    for (const [name, is] of Object.entries(BOUNDS) as [keyof Bounds<T>, Comparison][]) {
      const value = comparator[name];
      if (!isGiven(value)) continue;
      this.count(at);
      conditions.push({ column, is, value: toText(value, `${at}.${name}`) });
    }
    return all(conditions);
  }

  missing(column: Column, comparator: { null?: boolean | null }, at: string): Condition {
    if (!isGiven(comparator.null)) return TRUE;
    this.count(at);
    const missing = oneOf(column, [null]);
    return comparator.null ? missing : not(missing);
  }

  #number(column: 'number' | 'estimate', comparator: NonNullable<TaskFilter['number']>, at: string): Condition {
    return all([this.values(column, comparator, at, String), this.#bounds(column, comparator, at, String)]);
  }

  #estimate(comparator: NonNullable<TaskFilter['estimate']>, at: string): Condition {
    return all([this.#number('estimate', comparator, at), this.missing('estimate', comparator, at)]);
  }

  #text(column: 'title' | 'description', comparator: NonNullable<TaskFilter['description']>, at: string): Condition {
    const toText = column === 'title' ? titleText : descriptionText;
    const conditions = [this.values(column, comparator, at, toText), this.missing(column, comparator, at)];
    for (const like of PARTIAL) {
      const value = comparator[like];
      if (!isGiven(value)) continue;
      this.count(at);
      conditions.push({ column, like, value: toText(value, `${at}.${like}`) });
    }
    return all(conditions);
  }

  #priority(comparator: NonNullable<TaskFilter['priority']>, at: string): Condition {
    const bounds = this.#bounds('priority', comparator, at, String);
    // Converted to the list of matching values, so that all spellings become one condition with `in`.
    const fitting = taskPriority.enumValues.filter((value) => conjuncts(bounds).every((bound) => within(value, bound)));
    return all([
      this.values('priority', comparator, at, String),
      fitting.length === taskPriority.enumValues.length ? TRUE : oneOf('priority', fitting),
    ]);
  }

  #day(column: 'dueDate' | 'startDate', comparator: NonNullable<TaskFilter['dueDate']>, at: string): Condition {
    const toText = (moment: MomentInput, where: string) => this.#moment(moment, where, dayOf, isDay);
    const { eq, neq } = comparator;
    return all([
      this.values(column, { ...(isGiven(eq) && { eq }), ...(isGiven(neq) && { neq }) }, at, toText),
      this.#bounds(column, comparator, at, toText),
      this.missing(column, comparator, at),
    ]);
  }

  #instant(column: Column, comparator: NonNullable<TaskFilter['completedAt']>, at: string): Condition {
    const toText = (moment: MomentInput, where: string) => this.#moment(moment, where, instantOf, isInstant);
    return all([this.#bounds(column, comparator, at, toText), this.missing(column, comparator, at)]);
  }

  #moment(
    moment: MomentInput,
    at: string,
    resolve: (moment: MomentInput, nowMs: number) => string,
    isValid: (text: string) => boolean,
  ): string {
    if ('duration' in moment) this.relative = true;
    const text = resolve(moment, this.nowMs);
    if (!isValid(text)) throw badUserInput(at, 'expected a time in the years 1 to 9999');
    return text;
  }

  async #project(filter: NonNullable<TaskFilter['project']>, at: string): Promise<Condition> {
    refuseNulls(filter, at);
    const { id, key } = filter;
    const readProjectId = (text: string, where: string) => readId('project', text, where);
    const load = (text: string) => (PROJECT_KEY.test(text) ? this.context.loaders.load(projectIdByKey, text) : null);
    return all([
      id ? this.values('projectId', id, `${at}.id`, readProjectId) : TRUE,
      await this.named('projectId', key, `${at}.key`, load),
    ]);
  }

  #parent(filter: NonNullable<TaskFilter['parent']>, at: string): Condition {
    refuseNulls(filter, at);
    return all([
      filter.id ? this.values('parentId', filter.id, `${at}.id`, (text, where) => readId('task', text, where)) : TRUE,
      this.missing('parentId', filter, at),
    ]);
  }

  /** Conditions on items of which at least one, every one, or none matches. */
  async #quantified<F, I>(
    filter: { some?: F | null; every?: F | null; none?: F | null },
    at: string,
    { idsOf, some, only }: Items<F, I>,
  ): Promise<Condition> {
    refuseNulls(filter, at);
    const [someIds, everyIds, noneIds] = await Promise.all([
      filter.some ? idsOf(filter.some, `${at}.some`) : undefined,
      filter.every ? idsOf(filter.every, `${at}.every`) : undefined,
      filter.none ? idsOf(filter.none, `${at}.none`) : undefined,
    ]);
    return all([
      someIds === undefined ? TRUE : some(someIds),
      everyIds === undefined ? TRUE : only(everyIds),
      noneIds === undefined ? TRUE : not(some(noneIds)),
    ]);
  }

  /** The ids of matching labels, or `any`. */
  async #labelIds(filter: LabelFilter, at: string): Promise<readonly LabelId[] | 'any'> {
    refuseNulls(filter, at);
    this.count(at);
    const { id, name } = filter;
    if (id && (isGiven(id.neq) || isGiven(id.nin))) {
      throw badUserInput(`${at}.id`, 'expected eq or in; use none for labels that must not match');
    }
    // Parsed as a condition on a column; its values are the ids.
    const byId = id ? this.values('id', id, `${at}.id`, (text, where) => readId('label', text, where)) : TRUE;
    const ids = 'in' in byId ? (byId.in as LabelId[]) : 'any' in byId ? [] : undefined;
    const names = name ? this.#names(name, `${at}.name`) : undefined;
    if (names === undefined) return ids ?? 'any';
    const named = await this.#labelsNamed(names);
    return ids === undefined ? named : named.filter((label) => ids.includes(label));
  }

  async #labelsNamed(names: readonly string[]): Promise<LabelId[]> {
    const labels = await this.context.loaders.loadMany(labelsOfProject, this.projectIds);
    return labels.flat().flatMap(({ id, sort: [name] }) => (names.includes(name ?? '') ? [id] : []));
  }

  /** A condition on the column that holds the ids of objects with these names. */
  async named<I extends string>(
    column: Column,
    comparator: NameComparator | null | undefined,
    at: string,
    load: (name: string) => MaybePromise<I | null>,
  ): Promise<Condition> {
    const names = comparator && this.#names(comparator, at);
    if (!names) return TRUE;
    const found = await Promise.all(names.map(load));
    return oneOf(
      column,
      found.filter((id) => id !== null),
    );
  }

  /** The names to look up; undefined if every name matches. */
  #names(comparator: NameComparator, at: string): readonly string[] | undefined {
    refuseNulls(comparator, at);
    this.count(at);
    if (comparator.in && comparator.in.length > MAX_IN)
      throw badUserInput(`${at}.in`, `expected at most ${MAX_IN} values`);
    const among = comparator.in?.map((name) => comparand('line', name, `${at}.in`));
    if (!isGiven(comparator.eq)) return among ? [...new Set(among)] : undefined;
    const eq = comparand('line', comparator.eq, `${at}.eq`);
    return !among || among.includes(eq) ? [eq] : [];
  }

  #search(text: string, at: string): Condition {
    this.count(at);
    return { search: searchText(text, at) };
  }
}
