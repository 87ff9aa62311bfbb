/**
 * A fixed number of slots, shared between owners. Work without a slot waits in its owner's line. Slots go to the owners
 * in turn, however long their lines are. An owner takes one only while it holds fewer than are free, so n greedy owners
 * hold 1/(n+1) of the slots each and leave as many for an owner that arrives later: the dynamic thresholds of Choudhury
 * and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.
 */

export interface FairQueueOptions {
  readonly max: number;
  /** Slots of one owner, at least 1. Default: no further limit. */
  readonly maxEach?: number;
  /** How much work may wait: of one owner, and in all. Default: no limit. */
  readonly maxWaitingEach?: number;
  readonly maxWaiting?: number;
}

/** The owner of work without one. All of it shares one line, and no owner's limits apply. */
const UNOWNED = '';

export class QueueFull extends Error {
  override readonly name = 'QueueFull';

  constructor(
    /** Which limit was reached: one owner's line, or all lines. */
    readonly of: 'owner' | 'all',
  ) {
    super(`too many are waiting: ${of === 'owner' ? 'of this owner' : 'in all'}`);
  }
}

export class FairQueue {
  readonly #options: FairQueueOptions;
  /** In the order in which owners are served next; only those with waiting turns. */
  readonly #lines = new Map<string, Set<Turn>>();
  /** Slots by owner; only owners that hold some. */
  readonly #held = new Map<string, number>();
  #running = 0;
  #waiting = 0;
  #peak = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /** `peak`: the most slots that were ever in use at once. */
  get state(): { readonly running: number; readonly waiting: number; readonly peak: number } {
    return { running: this.#running, waiting: this.#waiting, peak: this.#peak };
  }

  turn(owner: string | undefined): Turn {
    return new Turn(this, owner ?? UNOWNED);
  }

  /**
   * Runs `work` in a slot.
   * @throws QueueFull; the signal's reason, if it aborts before a slot is free: then `work` never runs
   */
  async run<T>(owner: string | undefined, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.turn(owner);
    await turn.begin(signal);
    try {
      return await work();
    } finally {
      turn.end();
    }
  }

  /** Takes a slot if one is free for this owner. Only for `Turn`. */
  take(owner: string): boolean {
    if (this.#running >= this.#options.max || !this.#mayHold(owner)) return false;
    this.#running++;
    this.#held.set(owner, (this.#held.get(owner) ?? 0) + 1);
    if (this.#running > this.#peak) this.#peak = this.#running;
    return true;
  }

  /** Only for `Turn`. @throws QueueFull */
  requireRoom(owner: string): void {
    const { maxWaiting = Infinity, maxWaitingEach = Infinity } = this.#options;
    if (owner !== UNOWNED && (this.#lines.get(owner)?.size ?? 0) >= maxWaitingEach) throw new QueueFull('owner');
    if (this.#waiting >= maxWaiting) throw new QueueFull('all');
  }

  /** Puts a turn into an owner's line. Only for `Turn`. */
  enter(owner: string, turn: Turn): void {
    const line = this.#lines.get(owner);
    if (turn.owners.size === 0) this.#waiting++;
    turn.owners.add(owner);
    if (line === undefined) this.#lines.set(owner, new Set([turn]));
    else line.add(turn);
    if (turn.owners.size > 1) this.#next(); // the new owner may have a slot for it
  }

  /** Takes a turn out of every line. Only for `Turn`. */
  leave(turn: Turn): void {
    if (turn.owners.size === 0) return;
    for (const owner of turn.owners) {
      const line = this.#lines.get(owner);
      line?.delete(turn);
      if (line?.size === 0) this.#lines.delete(owner);
    }
    turn.owners.clear();
    this.#waiting--;
  }

  /** Only for `Turn`. */
  giveBack(owner: string): void {
    const held = (this.#held.get(owner) as number) - 1;
    if (held === 0) this.#held.delete(owner);
    else this.#held.set(owner, held);
    this.#running--;
    this.#next();
  }

  #mayHold(owner: string): boolean {
    if (owner === UNOWNED) return true;
    const { max, maxEach = Infinity } = this.#options;
    return (this.#held.get(owner) ?? 0) < Math.min(maxEach, max - this.#running);
  }

  /** Hands out free slots, one owner after the other. */
  #next(): void {
    while (this.#running < this.#options.max) {
      const owner = this.#nextOwner();
      if (owner === undefined) return;
      const line = this.#lines.get(owner) as Set<Turn>;
      const [turn] = line as unknown as [Turn];
      this.take(owner);
      this.leave(turn);
      if (this.#lines.delete(owner)) this.#lines.set(owner, line); // behind the others
      turn.granted(owner);
    }
  }

  #nextOwner(): string | undefined {
    for (const owner of this.#lines.keys()) if (this.#mayHold(owner)) return owner;
    return undefined;
  }
}

/** One piece of work on its way through the queue: `begin` when it wants a slot, `end` when it is done. */
export class Turn {
  /** The owners in whose lines it waits. Only for `FairQueue`. */
  readonly owners = new Set<string>();
  /** The owner whose slot it holds. */
  #slotOf: string | undefined;
  #granted: (() => void) | undefined;

  constructor(
    private readonly queue: FairQueue,
    private readonly owner: string,
  ) {}

  /**
   * Asks for a slot.
   * @returns undefined when it has one at once
   * @throws QueueFull; the signal's reason, if it aborts before a slot is free
   */
  begin(signal: AbortSignal | undefined): Promise<void> | undefined {
    signal?.throwIfAborted();
    if (this.queue.take(this.owner)) {
      this.#slotOf = this.owner;
      return undefined;
    }
    this.queue.requireRoom(this.owner);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.queue.leave(this);
        reject(signal?.reason);
      };
      const granted = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      this.#granted = granted; // assigned as a literal it would be made in V8's old generation: see docs/decisions.md
      signal?.addEventListener('abort', leave, { once: true });
      this.queue.enter(this.owner, this);
    });
  }

  /** Call while it waits, when another owner needs the same work: the line that is served first begins it. */
  share(owner: string | undefined): void {
    if (this.owners.size > 0) this.queue.enter(owner ?? UNOWNED, this);
  }

  /** Only for `FairQueue`. */
  granted(owner: string): void {
    this.#slotOf = owner;
    this.#granted?.();
  }

  /** Gives the slot back. */
  end(): void {
    if (this.#slotOf === undefined) return;
    const owner = this.#slotOf;
    this.#slotOf = undefined;
    this.queue.giveBack(owner);
  }
}
