/**
 * What is asked, in which shares, of which keys. Two dialects of one question: this API's schema, and the plain one of the others. A part of the
 * keys is known, which are asked for before anything is measured, and drawn by Zipf's law; the rest is fresh, each asked once in a round.
 */
import { fromUuid, type Id, toUuid } from '../src/db/ids.js';
import { type Random, randomOf } from '../test/chaos/random.js';
import { type Dataset, memberId, projectId, TASKS_PER_PROJECT, taskId, teamOfProject, teamOfTask } from './dataset.js';
import { zipf } from './random.js';

export type ReadKind = 'Q1' | 'Q2' | 'Q3';
export type Operation = Question & {
  /** In the body, where nothing looks at it: no two such requests are alike. */
  readonly unlike?: number;
};

type Question =
  /** A task with its assignee and its project. */
  | { readonly kind: 'Q1'; readonly task: number }
  /** The 20 tasks of a project with assignee, project and labels. */
  | { readonly kind: 'Q2'; readonly project: number }
  /** Statistics of a project. */
  | { readonly kind: 'Q3'; readonly project: number }
  /** So many tasks by their ids. */
  | { readonly kind: 'nodes'; readonly tasks: readonly number[] }
  | { readonly kind: 'write'; readonly task: number; readonly change: Readonly<Record<string, string>> };

type Read = Extract<Question, { readonly kind: ReadKind }>;

/** Shares of a mix; they sum to 1. */
export type Mix = Readonly<Partial<Record<ReadKind | 'write', number>>>;

export const MIXED: Mix = { Q1: 0.6, Q2: 0.2, Q3: 0.15, write: 0.05 };
/** Of reads: for keys that nobody has asked for yet in this round. */
export const FRESH_SHARE = 0.04;
export const KNOWN_PROJECTS = 100;
/** Of the projects that are not known: those whose tasks are asked for one by one. */
const FRESH_PROJECTS_FOR_TASKS = 0.2;
const UNWRITTEN = 3;
const STATUSES = ['BACKLOG', 'TODO', 'IN_PROGRESS', 'IN_REVIEW', 'DONE', 'CANCELED'];
const STRIDE = 7919;

/**
 * Of fresh tasks. `scattered`: each of another project than the one before, so that hardly anything about it is known. `adjacent`: project by project,
 * where as much is known in a small table as in a large one.
 */
export type FreshOrder = 'scattered' | 'adjacent';

export class Workload {
  readonly knownProjects: number;
  /** Fresh keys that had to be asked for again, because there are no more: hits that ought to be misses. */
  reused = 0;
  readonly #data: Dataset;
  readonly #random: Random;
  readonly #rankOfTask: (random: Random) => number;
  readonly #rankOfProject: (random: Random) => number;
  /** Known keys by rank: the hottest task is not of the hottest project. */
  readonly #tasks: readonly number[];
  readonly #projects: readonly number[];
  readonly #asked = { Q1: 0, Q2: 0, Q3: 0 };
  #writes = 0;

  constructor(data: Dataset, seed: number) {
    this.#data = data;
    this.#random = randomOf(seed);
    this.knownProjects = Math.min(KNOWN_PROJECTS, data.projects / 2);
    const upTo = (size: number) => Array.from({ length: size }, (_, i) => i + 1);
    this.#projects = this.#random.shuffled(upTo(this.knownProjects));
    this.#tasks = this.#random.shuffled(upTo(this.knownProjects * TASKS_PER_PROJECT));
    this.#rankOfTask = zipf(this.#tasks.length);
    this.#rankOfProject = zipf(this.#projects.length);
  }

  /** Every known key once, by each of these kinds of reads. */
  *known(kinds: readonly ReadKind[]): Generator<Read> {
    for (const kind of kinds) {
      if (kind === 'Q1') for (const task of this.#tasks) yield { kind, task };
      else for (const project of this.#projects) yield { kind, project };
    }
  }

  /** Some questions of each kind about tasks that are never written to. */
  *unwritten(kinds: readonly ReadKind[]): Generator<Read> {
    for (let n = 0; n < UNWRITTEN; n++) {
      for (const kind of kinds) {
        if (kind === 'Q1') yield { kind, task: this.#data.tasks - n * TASKS_PER_PROJECT };
        else yield { kind, project: this.#data.projects - n };
      }
    }
  }

  /** `fresh`: the share of reads for keys never asked before. */
  next(mix: Mix, fresh: number): Operation {
    const kind = this.#draw(mix);
    if (kind === 'write') return this.#write();
    const isFresh = fresh > 0 && this.#random.chance(fresh);
    if (isFresh) return this.fresh(kind);
    return kind === 'Q1' ? { kind, task: this.hotTask() } : { kind, project: this.hotProject() };
  }

  hotTask(): number {
    return this.#tasks[this.#rankOfTask(this.#random)] as number;
  }

  hotProject(): number {
    return this.#projects[this.#rankOfProject(this.#random)] as number;
  }

  /** Known tasks of one team, `count` different ones. */
  nodes(count: number): Operation {
    const first = this.hotTask();
    if (count === 1) return { kind: 'nodes', tasks: [first] };
    const team = teamOfTask(first);
    const from = (team - 1) * TASKS_PER_PROJECT * 20;
    const size = Math.min(TASKS_PER_PROJECT * 20, this.#tasks.length - from);
    const offset = this.#random.integer(size);
    return {
      kind: 'nodes',
      tasks: Array.from({ length: Math.min(count, size) }, (_, i) => from + 1 + ((offset + i) % size)),
    };
  }

  /** How many fresh keys of a kind are left in this round. */
  left(kind: ReadKind): number {
    return this.size(kind) - this.#asked[kind];
  }

  /** How many there were. Tasks of projects of which no list is asked for, so that none has brought their rows before. */
  size(kind: ReadKind): number {
    const unknown = this.#data.projects - this.knownProjects;
    const forTasks = Math.ceil(unknown * FRESH_PROJECTS_FOR_TASKS);
    return kind === 'Q1' ? forTasks * TASKS_PER_PROJECT : unknown - forTasks;
  }

  /** A question about what nobody has asked for in this round. */
  fresh(kind: ReadKind, order: FreshOrder = 'scattered'): Operation {
    const size = this.size(kind);
    const n = this.#asked[kind]++;
    if (n >= size) this.reused++;
    if (kind !== 'Q1') return { kind, project: this.knownProjects + 1 + (n % size) };
    return { kind, task: this.#data.tasks - size + 1 + ((order === 'scattered' ? n * STRIDE : n) % size) };
  }

  #draw(mix: Mix): ReadKind | 'write' {
    let at = this.#random.next();
    for (const kind of ['Q1', 'Q2', 'Q3', 'write'] as const) {
      at -= mix[kind] ?? 0;
      if (at < 0) return kind;
    }
    return 'Q1';
  }

  /** Half of the writes change a text, which no list of ids depends on; half change the status or the assignee. */
  #write(): Operation {
    const task = this.hotTask();
    const n = ++this.#writes;
    const { integer, pick } = this.#random;
    const changes = [
      () => ({ title: `Task ${task}, ${n} times written` }),
      () => ({ description: `Words that came with write ${n}` }),
      () => ({ status: pick(STATUSES) }),
      () => ({ assigneeId: memberId(teamOfTask(task), integer(10)) }),
    ];
    return { kind: 'write', task, change: pick(changes)() };
  }
}

/** The team whose viewer asks. */
export function teamOf(operation: Operation): number {
  if (operation.kind === 'nodes') return teamOfTask(operation.tasks[0] as number);
  return 'task' in operation ? teamOfTask(operation.task) : teamOfProject(operation.project);
}

export interface Versioned {
  readonly task: number;
  readonly version: number;
}

export type DialectName = 'api' | 'plain' | 'postgraphile';

/** How a contender is asked, and how its answers are read. */
export interface Dialect {
  /** The body of the request. */
  body(operation: Operation): string;
  /** What the answer shows, in one form for all dialects. @throws when it is no whole answer */
  read(operation: Operation, data: unknown): unknown;
  /** The versions of tasks that an answer shows. */
  versions(operation: Operation, data: unknown): Versioned[];
}

const TASK = 'title status version assignee { name } project { name }';
const PG_TASK = 'title status version assignee: userByAssigneeId { name } project: projectByProjectId { name }';
const PG_LABELS =
  'taskLabelsByProjectIdAndTaskId(orderBy: [LABEL_ID_ASC]) { nodes { label: labelByProjectIdAndLabelId { name } } }';
const STATS = 'total byStatus { status count } overdue completedLast7Days medianCycleTimeHours';
const DOCUMENTS = {
  api: {
    Q1: `query Q1($id: ID!) { task(id: $id) { ${TASK} } }`,
    Q2: `query Q2($id: ID!) { project(id: $id) { tasks(first: 20) { nodes { id ${TASK} labels { nodes { name } } } } } }`,
    Q3: `query Q3($id: ID!) { project(id: $id) { stats { ${STATS} } } }`,
    nodes: 'query Nodes($ids: [ID!]!) { nodes(ids: $ids) { id ... on Task { title status version } } }',
    write:
      'mutation Write($input: UpdateTaskInput!) { updateTask(input: $input) { task { id version } errors { message } } }',
  },
  plain: {
    Q1: `query Q1($id: ID!) { task(id: $id) { ${TASK} } }`,
    Q2: `query Q2($id: ID!) { tasks(projectId: $id, first: 20) { id ${TASK} labels { name } } }`,
    Q3: `query Q3($id: ID!) { projectStats(projectId: $id) { ${STATS} } }`,
    nodes: '',
    write: 'mutation Write($input: UpdateTaskInput!) { updateTask(input: $input) { id version } }',
  },
  postgraphile: {
    Q1: `query Q1($id: UUID!) { task: taskByRowId(rowId: $id) { ${PG_TASK} } }`,
    Q2: `query Q2($id: UUID!) { tasks: allTasks(condition: { projectId: $id }, first: 20, orderBy: [CREATED_AT_DESC, ROW_ID_DESC]) {
      nodes { id: rowId ${PG_TASK} labels: ${PG_LABELS} } } }`,
    Q3: '',
    nodes: '',
    write: '',
  },
} as const;

// What answers hold, by the documents above: whatever is not there ends as an error of the contender.
type Task = { id: string; title: string; status: string; version: number; labels?: unknown };
type Data = Record<string, unknown>;

/** `idText`: an id as this dialect writes it. */
function dialect(
  documents: Record<Operation['kind'], string>,
  from: (operation: Operation, data: Data) => unknown,
  idText: (id: Id) => string = (id) => id,
): Dialect {
  // Written out beforehand: the generator must be cheaper than the servers.
  const fronts = Object.fromEntries(
    Object.entries(documents).map(([kind, query]) => [kind, `{"query":${JSON.stringify(query)},"variables":`]),
  ) as Record<Operation['kind'], string>;
  const variables = (operation: Operation): string => {
    switch (operation.kind) {
      case 'Q1':
        return `{"id":"${idText(taskId(operation.task))}"}}`;
      case 'Q2':
      case 'Q3':
        return `{"id":"${idText(projectId(operation.project))}"}}`;
      case 'nodes':
        return `${JSON.stringify({ ids: operation.tasks.map(taskId) })}}`;
      case 'write':
        return `${JSON.stringify({ input: { id: taskId(operation.task), ...operation.change } })}}`;
    }
  };
  const read = (operation: Operation, data: unknown) => {
    const found = from(operation, data as Data);
    if (found === null || found === undefined)
      throw new Error(`an answer without data: ${JSON.stringify(data)?.slice(0, 200)}`);
    return found;
  };
  return {
    body(operation) {
      const body = fronts[operation.kind] + variables(operation);
      return operation.unlike === undefined ? body : `${body.slice(0, -1)},"unlike":${operation.unlike}}`;
    },
    read,
    versions(operation, data) {
      const found = read(operation, data);
      switch (operation.kind) {
        case 'Q1':
        case 'write':
          return [{ task: operation.task, version: (found as Task).version }];
        case 'Q2':
          return (found as Task[]).map(({ id, version }) => ({ task: taskNumber(id), version }));
        case 'nodes':
          return (found as Task[]).map(({ version }, i) => ({ task: operation.tasks[i] as number, version }));
        case 'Q3':
          return [];
      }
    },
  };
}

const numbers = new Map<string, number>();
/** The number in a task's id. Known tasks are asked for over and over. */
function taskNumber(id: string): number {
  let n = numbers.get(id);
  if (n === undefined) {
    n = numberOfId(id);
    if (numbers.size < 200_000) numbers.set(id, n);
  }
  return n;
}

/** Of `uuid`: decimal digits within the last 48 bits, which a TypeID writes as base 32. */
function numberOfId(id: string): number {
  const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
  let bits = 0n;
  for (const char of id.slice(id.indexOf('_') + 1)) bits = bits * 32n + BigInt(ALPHABET.indexOf(char));
  return Number((bits & 0xffff_ffff_ffffn).toString(16));
}

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  api: dialect(DOCUMENTS.api, ({ kind }, data) => {
    switch (kind) {
      case 'Q1':
        return data['task'];
      case 'Q2': {
        const { nodes } = (data['project'] as { tasks: { nodes: (Task & { labels: { nodes: unknown } })[] } }).tasks;
        return nodes.map(({ labels, ...task }) => ({ ...task, labels: labels.nodes }));
      }
      case 'Q3':
        return (data['project'] as { stats: unknown }).stats;
      case 'nodes':
        return data['nodes'];
      case 'write':
        return (data['updateTask'] as { task: unknown }).task;
    }
  }),
  plain: dialect(DOCUMENTS.plain, ({ kind }, data) => {
    switch (kind) {
      case 'Q1':
        return data['task'];
      case 'Q2':
        return data['tasks'];
      case 'Q3':
        return data['projectStats'];
      case 'nodes':
        return data['nodes'];
      case 'write':
        return data['updateTask'];
    }
  }),
  postgraphile: dialect(
    DOCUMENTS.postgraphile,
    ({ kind }, data) => {
      if (kind === 'Q1') return data['task'];
      if (kind !== 'Q2') throw new Error(`PostGraphile is not asked ${kind}`);
      const { nodes } = data['tasks'] as { nodes: (Task & { labels: { nodes: { label: unknown }[] } })[] };
      return nodes.map(({ id, labels, ...task }) => ({
        id: fromUuid('task', id),
        ...task,
        labels: labels.nodes.map(({ label }) => label),
      }));
    },
    toUuid,
  ),
};
