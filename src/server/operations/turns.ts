/**
 * Runs the work of subscriptions in small portions. One commit may be an event for thousands of subscribers; executing
 * all at once would block the process. Viewers take turns, so a viewer with many subscriptions delays only itself.
 */
import { context } from '@opentelemetry/api';
import { SECOND } from '../../std/time.js';
import type { NewConnections } from '../http/new-connections.js';

/** Points started per event-loop tick: some milliseconds of work. A larger job starts alone. */
const POINTS_PER_TURN = 100;
/** Points of a job that runs alone in its event-loop tick. */
export const WHOLE_TURN = POINTS_PER_TURN;
/** Points in progress. Jobs that start together may end together, so this bounds how long the event loop is blocked. */
const MAX_POINTS = 1000;
const MAX_POINTS_PER_VIEWER = 100;
/** A job that takes longer waits for Postgres rather than this process. It then delays only its own viewer's jobs. */
const COUNTED_MS = SECOND;

interface Job {
  readonly points: number;
  readonly start: () => Promise<void>;
}

interface Line {
  readonly jobs: Job[];
  /** Points in progress. */
  points: number;
}

export class Turns {
  /** By viewer, the next one first. A viewer without jobs has no line. */
  readonly #lines = new Map<string, Line>();
  #points = 0;
  #scheduled = false;
  readonly #connections: Pick<NewConnections, 'goFirst'> | undefined;

  /** `connections`: go before waiting work. */
  constructor(connections?: Pick<NewConnections, 'goFirst'>) {
    this.#connections = connections;
  }

  /**
   * Calls `work` when it is the viewer's turn. Callers wait for a job before they add the next, which bounds the lines.
   */
  run<T>(viewer: string, points: number, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(viewer) ?? { jobs: [], points: 0 };
    this.#lines.set(viewer, line);
    return new Promise<T>((resolve, reject) => {
      // Jobs start in the async context of whichever job was added first.
      const bound = context.bind(context.active(), work);
      const start = () => bound().then(resolve, reject);
      line.jobs.push({ points, start });
      this.#schedule();
    });
  }

  /** Number of viewers with jobs, waiting or in progress. */
  get viewers(): number {
    return this.#lines.size;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#connections?.goFirst() === true) this.#schedule();
      else this.#startSome();
    });
  }

  #startSome(): void {
    let begun = 0;
    for (const [viewer, line] of [...this.#lines]) {
      if (this.#points >= MAX_POINTS) return; // a finished job schedules the next event-loop tick
      const before = begun;
      while (begun < POINTS_PER_TURN && this.#mayStart(line)) begun += this.#start(viewer, line);
      if (begun > before) this.#toTheEnd(viewer, line);
      if (begun >= POINTS_PER_TURN) break;
    }
    if (begun >= POINTS_PER_TURN) this.#schedule();
  }

  #mayStart({ jobs: [next], points }: Line): boolean {
    if (next === undefined) return false;
    const fits = this.#points + next.points <= MAX_POINTS && points + next.points <= MAX_POINTS_PER_VIEWER;
    return points === 0 || fits;
  }

  #start(viewer: string, line: Line): number {
    const { points, start } = line.jobs.shift() as Job;
    line.points += points;
    this.#points += points;
    let counted = true;
    const uncount = () => {
      if (!counted) return;
      counted = false;
      this.#points -= points;
      this.#schedule();
    };
    const timer = setTimeout(uncount, COUNTED_MS).unref();
    void start().then(() => {
      clearTimeout(timer);
      line.points -= points;
      if (line.points === 0 && line.jobs.length === 0) this.#lines.delete(viewer);
      uncount();
      this.#schedule();
    });
    return points;
  }

  #toTheEnd(viewer: string, line: Line): void {
    this.#lines.delete(viewer);
    this.#lines.set(viewer, line);
  }
}
