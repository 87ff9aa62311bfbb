/**
 * Runs the work of subscriptions a little at a time. One commit may be an event for thousands of subscribers: run at once, their executions would
 * keep the process from everything else. Viewers take turns, so that one with many subscriptions delays itself and no other.
 */
import { SECOND } from '../../std/time.js';

/** Points that begin in one turn of the event loop: some milliseconds of work. A larger job begins alone. */
const POINTS_PER_TURN = 100;
/** Of a job that is alone in its turn. */
export const WHOLE_TURN = POINTS_PER_TURN;
/** Points under way. What has begun together may end together, so this bounds how long the event loop is kept. */
const MAX_POINTS = 1000;
const MAX_POINTS_PER_VIEWER = 100;
/** What takes longer waits for Postgres, not for this process: it delays its own viewer's next jobs and no others. */
const COUNTED_MS = SECOND;

interface Job {
  readonly points: number;
  readonly start: () => Promise<void>;
}

interface Line {
  readonly jobs: Job[];
  /** Under way. */
  points: number;
}

export class Turns {
  /** By viewer, the next one first. A viewer without jobs, waiting or under way, has no line. */
  readonly #lines = new Map<string, Line>();
  #points = 0;
  #scheduled = false;

  /** Calls `work` when it is the viewer's turn. Each caller waits for one job before it brings the next: that bounds the lines. */
  run<T>(viewer: string, points: number, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(viewer) ?? { jobs: [], points: 0 };
    this.#lines.set(viewer, line);
    return new Promise<T>((resolve, reject) => {
      const start = () => work().then(resolve, reject);
      line.jobs.push({ points, start });
      this.#schedule();
    });
  }

  /** Viewers with jobs, waiting or under way. */
  get viewers(): number {
    return this.#lines.size;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#startSome();
    });
  }

  #startSome(): void {
    let begun = 0;
    for (const [viewer, line] of [...this.#lines]) {
      if (this.#points >= MAX_POINTS) return; // what ends schedules the next turn
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
