/** Two parts of a simulation: events in the order of their times, and an event loop that serves what is ready when an iteration begins. */

/** A binary heap. Events of one time run in the order in which they were added, so that a run repeats. */
export class EventQueue {
  readonly #heap: { readonly atUs: number; readonly number: number; readonly run: () => void }[] = [];
  #nowUs = 0;
  #count = 0;

  after(us: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atUs: this.#nowUs + us, number: this.#count++, run };
    let at = heap.length;
    for (heap.push(event); at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  run(untilUs: number): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atUs > untilUs) return;
      this.#removeFirst();
      this.#nowUs = next.atUs;
      next.run();
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    heap.pop();
    for (let at = 0; ; ) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && this.#isBefore(child, first)) first = child;
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]] as [
      { atUs: number; number: number },
      { atUs: number; number: number },
    ];
    return a.atUs < b.atUs || (a.atUs === b.atUs && a.number < b.number);
  }

  #swap(one: number, other: number): void {
    const heap = this.#heap as unknown[];
    [heap[one], heap[other]] = [heap[other], heap[one]];
  }
}

/** A machine's cores: loops that want to run wait for a free one, first come, first served. */
export class Cores {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  take(run: () => void): void {
    if (this.#free === 0) {
      this.#waiting.push(run);
      return;
    }
    this.#free--;
    run();
  }

  giveBack(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

export interface Work {
  readonly us: number;
  /** Called at the end of the iteration that served it. */
  readonly done: () => void;
}

/** Gated service: an iteration serves all that was ready when it began, and ends for all of it at once. */
export class Loop {
  /** CPU used. */
  busyUs = 0;
  readonly #events: EventQueue;
  readonly #cores: Cores;
  readonly #wakeUs: number;
  readonly #afterIteration: () => void;
  #ready: Work[] = [];
  #isRunning = false;

  /** `wakeUs`: what it takes to wake up when it was idle; what comes meanwhile is served by the same iteration. */
  constructor(options: { events: EventQueue; cores: Cores; wakeUs: number; afterIteration?: () => void }) {
    this.#events = options.events;
    this.#cores = options.cores;
    this.#wakeUs = options.wakeUs;
    this.#afterIteration = options.afterIteration ?? (() => {});
  }

  add(work: Work): void {
    this.#ready.push(work);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#cores.take(() => {
      this.busyUs += this.#wakeUs;
      this.#events.after(this.#wakeUs, () => this.#iterate());
    });
  }

  #iterate(): void {
    const batch = this.#ready;
    this.#ready = [];
    const us = batch.reduce((sum, work) => sum + work.us, 0);
    this.#events.after(us, () => {
      this.busyUs += us;
      for (const work of batch) work.done();
      this.#afterIteration();
      this.#cores.giveBack();
      if (this.#ready.length > 0) this.#cores.take(() => this.#iterate());
      else this.#isRunning = false;
    });
  }
}
