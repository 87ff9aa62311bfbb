/**
 * Live readers: on every API process, over both transports, through all faults. Checked of each:
 *
 * - its first answer on a connection, as a read that began when it subscribed;
 * - order: no answer shows a row in an older version than one before, also across connections. Left out: rows that are
 *   written around the API, and partitions;
 * - bound: within LIVE_WITHIN_MS after a fault is healed it has what was acknowledged before that, and where nothing has
 *   been hurt for a second, within LIVE_CALM_WITHIN_MS; and the time of two runs, the one in progress and the one that
 *   shows it. A run is taken to last as long as the longest ordinary read since LOOK_BACK_MS before;
 * - quiet: when nothing is written any more, its last answer is what the database holds.
 */
import type { ApiChild } from './child.js';
import type { Seen, SeenList } from './history.js';
import { type LiveConnection, openLive, type Transport } from './live-connection.js';
import { sleep, until } from './wait.js';
import {
  type Answer,
  FILTERED,
  LIST,
  listOf,
  OPEN_STATUSES,
  type RawRow,
  seenInAnswer,
  seenInPostgres,
  TASK,
  type TaskNode,
  type Workload,
} from './workload.js';
import { STATUSES, type World } from './world.js';

/** 2 s, and 2 s in which connections that broke are made again, to Postgres, Redis and the API. */
const LIVE_WITHIN_MS = 4000;
const LIVE_CALM_WITHIN_MS = 2000;
const LOOK_BACK_MS = 5000;
const QUIET_WITHIN_MS = 5000;
const FIRST_WITHIN_MS = 10_000;
const CONNECT_AGAIN_MS = 50;
const LOOK_EVERY_MS = 10;
/** How long a reader stays on one connection. */
const STAYS_MS = [2000, 15_000] as const;
/** Answers before an answer are as old as this at most, for the checks that need a beginning. */
const LONG_MS = 20_000;

interface LiveQuestion {
  readonly name: string;
  readonly body: { readonly query: string; readonly variables: object };
  readonly pick: (data: NonNullable<Answer['data']>) => { nodes: readonly TaskNode[] | undefined; list?: SeenList };
}

interface Held {
  readonly seen: readonly Seen[];
  readonly list: SeenList | undefined;
}

export class LiveReaders {
  readonly #world: World;
  readonly #readers: readonly LiveReader[];
  readonly #endings = new Map<string, number>();

  constructor(world: World, workload: Workload) {
    this.#world = world;
    const transports: readonly Transport[] = ['WebSocket', 'server-sent events'];
    this.#readers = world.children.flatMap((child) =>
      questionsFor(world).map((question, i) => {
        const transport = transports[(i + child.number) % 2] as Transport;
        const ended = (why: string) => this.#endings.set(why, (this.#endings.get(why) ?? 0) + 1);
        return new LiveReader({ world, workload, child, transport, question, ended });
      }),
    );
  }

  /** Why connections ended, and how often. */
  get endings(): string {
    return JSON.stringify(Object.fromEntries(this.#endings));
  }

  start(): void {
    for (const reader of this.#readers) reader.start();
  }

  stop(): void {
    for (const reader of this.#readers) reader.stop();
  }

  /** Waits until each reader has an answer. */
  async begun(): Promise<void> {
    await until('each live reader has an answer', () => this.#readers.every(({ hasAnswer }) => hasAnswer));
  }

  /** Each reader comes to hold what was acknowledged before now. `calm`: nothing was hurt in the last second. */
  async caughtUp(calm: boolean): Promise<void> {
    const { history } = this.#world;
    const sinceMs = performance.now();
    const within = () =>
      (calm ? LIVE_CALM_WITHIN_MS : LIVE_WITHIN_MS) + 2 * history.longestReadMs(sinceMs - LOOK_BACK_MS);
    await Promise.all(
      this.#readers.map(async (reader) => {
        while (reader.isBehind(sinceMs) && performance.now() - sinceMs < within()) await sleep(LOOK_EVERY_MS);
        history.liveCaughtUp(calm, performance.now() - sinceMs);
        reader.expectNotBehind(sinceMs, `${within().toFixed(0)} ms later`);
      }),
    );
  }

  /** Nothing is written any more: each reader's last answer is the database's. */
  async quiet(): Promise<void> {
    const { sql, ops, raw, history } = this.#world;
    const ids = [...ops.tasks, ...raw.tasks];
    const untilMs = performance.now() + QUIET_WITHIN_MS + 2 * history.longestReadMs(performance.now() - LOOK_BACK_MS);
    let wrong: string[] = [];
    do {
      await sleep(100);
      const rows = (await sql<RawRow[]>`select id, version, status from tasks`).map(seenInPostgres);
      const byId = new Map(rows.filter(({ row }) => ids.includes(row as never)).map((row) => [row.row, row]));
      wrong = this.#readers.flatMap((reader) => reader.differsFrom(byId) ?? []);
    } while (wrong.length > 0 && performance.now() < untilMs);
    for (const text of wrong) history.liveViolation('quiet', text);
    history.liveQuiet(this.#readers.length);
  }
}

class LiveReader {
  readonly #options: LiveReaderOptions;
  readonly #name: string;
  /** The highest version that it was sent of each row. */
  readonly #versions = new Map<string, number>();
  #generation = 0;
  #held: Held | undefined;
  #connection: LiveConnection | undefined;
  #isStopped = false;

  constructor(options: LiveReaderOptions) {
    this.#options = options;
    this.#name = `live ${options.question.name} of API ${options.child.number} by ${options.transport}`;
  }

  start(): void {
    void this.#loop();
  }

  stop(): void {
    this.#isStopped = true;
    this.#connection?.close();
  }

  get hasAnswer(): boolean {
    return this.#held !== undefined;
  }

  /** Whether it has to hold more than it does. */
  isBehind(sinceMs: number): boolean {
    const { history } = this.#options.world;
    if (!this.#options.child.up) return false; // nothing can answer it
    return this.#held === undefined || history.isBehind(sinceMs, this.#held.seen, this.#held.list);
  }

  expectNotBehind(sinceMs: number, when: string): void {
    const { history } = this.#options.world;
    if (!this.#options.child.up) return;
    if (this.#held === undefined) history.liveViolation('bound', `${this.#name} has no answer, ${when}`);
    else if (history.isBehind(sinceMs, this.#held.seen, this.#held.list)) {
      history.liveViolation('bound', `${this.#name} is behind, ${when}: ${history.behind(sinceMs, this.#held.seen)}`);
    }
  }

  differsFrom(rows: ReadonlyMap<string, Seen>): string | undefined {
    if (this.#held === undefined) return `${this.#name} has no answer`;
    for (const { row, version, state } of this.#held.seen) {
      const there = rows.get(row);
      if (there?.version === version && there.state === state) continue;
      return `${this.#name}: ${row} is ${version} ${state}, not ${there?.version} ${there?.state}`;
    }
    const { list } = this.#held;
    const wrong = list?.rows.find((id) => list.states.has(rows.get(id)?.state as string) !== list.present.has(id));
    return wrong === undefined
      ? undefined
      : `${this.#name}: ${wrong} is ${list?.present.has(wrong) ? '' : 'not '}in it`;
  }

  async #loop(): Promise<void> {
    while (!this.#isStopped) {
      const { port } = this.#options.child;
      if (port !== undefined) await this.#stay(port);
      await sleep(CONNECT_AGAIN_MS);
    }
  }

  /** One connection, from its beginning to its end. */
  #stay(port: number): Promise<void> {
    const { world, workload, child, transport, question, ended } = this.#options;
    const { history, headers, random } = world;
    const first = history.beginRead(`${this.#name}, first answer`);
    let isOpen = true;
    const dropFirst = () => {
      if (isOpen) history.dropRead(first);
      isOpen = false;
    };
    return new Promise((resolve) => {
      const late = setTimeout(() => this.#connection?.close(), FIRST_WITHIN_MS);
      const leaves = setTimeout(() => this.#connection?.close(), random.between(...STAYS_MS));
      this.#connection = openLive(
        transport,
        { port, headers, body: question.body },
        {
          next: (text) => {
            clearTimeout(late);
            const answer = JSON.parse(text) as Answer;
            const held = answer.errors === undefined ? heldIn(question, answer) : undefined;
            if (held === undefined) {
              void workload.failed(
                child,
                { ...first, startedMs: performance.now() - 1000 },
                new Error(text.slice(0, 300)),
              );
              return;
            }
            if (isOpen) history.endRead(first, held.seen, held.list);
            else history.checkLive(this.#name, performance.now() - LONG_MS, held.seen, held.list);
            isOpen = false;
            this.#answered(held);
          },
          ended: (why) => {
            clearTimeout(late);
            clearTimeout(leaves);
            if (why.startsWith('refused') || (isOpen && why === 'left' && !this.#isStopped)) {
              if (performance.now() - first.startedMs >= FIRST_WITHIN_MS || why !== 'left') {
                void workload.failed(child, first, new Error(why));
              }
            }
            dropFirst();
            ended(why);
            resolve();
          },
        },
      );
    });
  }

  #answered(held: Held): void {
    const { history } = this.#options.world;
    if (history.generation !== this.#generation) {
      this.#generation = history.generation;
      this.#versions.clear(); // another database, whose versions may be lower
    }
    history.checkOrder(this.#name, this.#versions, held.seen);
    this.#held = held;
  }
}

interface LiveReaderOptions {
  readonly world: World;
  readonly workload: Workload;
  readonly child: ApiChild;
  readonly transport: Transport;
  readonly question: LiveQuestion;
  readonly ended: (why: string) => void;
}

function heldIn(question: LiveQuestion, { data }: Answer): Held | undefined {
  const picked = data ? question.pick(data) : undefined;
  return picked?.nodes && { seen: picked.nodes.map(seenInAnswer), list: picked.list };
}

function questionsFor({ ops, raw, random }: World): LiveQuestion[] {
  const live = (query: string) => query.replace(/^(query \([^)]*\))/, '$1 @live');
  const list = (project: typeof ops): LiveQuestion => ({
    name: `list ${project.key}`,
    body: { query: live(LIST), variables: { project: project.id } },
    pick: (data) => ({ nodes: data.tasks?.nodes, list: listOf(project, data.tasks?.nodes, STATUSES) }),
  });
  const task = random.pick(ops.tasks);
  return [
    list(ops),
    list(raw),
    {
      name: 'open tasks of OPS',
      body: { query: live(FILTERED), variables: { project: ops.id, statuses: OPEN_STATUSES } },
      pick: (data) => ({ nodes: data.tasks?.nodes, list: listOf(ops, data.tasks?.nodes, OPEN_STATUSES) }),
    },
    {
      name: 'task',
      body: { query: live(TASK), variables: { id: task } },
      pick: (data) => ({ nodes: data.task ? [data.task] : undefined }),
    },
  ];
}
