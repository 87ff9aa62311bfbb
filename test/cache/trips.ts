/** A reader's trips to the store, which a test can hold before the store sees them and before their answers are known. */
import type { Key, MemoryStore, Store, Tag } from '../../src/engine/cache/index.js';
import type { LogMark, LogSlice, StoreReadOptions, View } from '../../src/engine/cache/store.js';
import { Gate } from '../support/barrier.js';
import { intercepted } from '../support/stores.js';
import { quiet } from './world.js';

/** A trip that waits twice: until the store may see it, and, answered, until the reader may know. */
export class HeldTrip {
  readonly #seen = new Gate();
  readonly #known = new Gate();
  readonly sent = this.#seen.arrived;
  alter: (view: View) => View = (view) => view;

  async run(read: () => Promise<View>): Promise<View> {
    await this.#seen.pass();
    const view = await read();
    await this.#known.pass();
    return this.alter(view);
  }

  /** The store answers, as it is now. */
  async execute(): Promise<void> {
    await this.sent;
    this.#seen.open();
    await this.#known.arrived;
  }

  /** The reader knows, and has done all that follows. */
  async answer(): Promise<void> {
    this.deliver();
    await quiet();
  }

  /** The answer arrives; other answers may arrive in the same turn. */
  deliver(): void {
    this.#known.open();
  }
}

/** The reader's way to the store: notes what is asked of the log, holds trips, and can lose the log. */
export class Trips {
  readonly asked: (LogMark | 'tail' | undefined)[] = [];
  /** Every trip ends with it. */
  fail: Error | undefined;
  #held: HeldTrip | undefined;
  #logsLost = 0;
  #lostBelow = 0;

  /** The next trip. */
  hold(): HeldTrip {
    this.#held = new HeldTrip();
    return this.#held;
  }

  /** As if Redis had lost the stream: the next record begins another. */
  async loseLog(memory: MemoryStore): Promise<void> {
    const { log } = await memory.read([], [], { log: 'tail' });
    this.#lostBelow = log?.kind === 'tail' ? (log.mark?.sequence ?? 0) : 0;
    this.#logsLost++;
  }

  over(memory: MemoryStore): Store {
    return {
      ...intercepted(memory, () => {}),
      read: async (keys, tags, options = {}) => {
        this.asked.push(options.log);
        if (this.fail !== undefined) throw this.fail;
        const held = this.#held;
        this.#held = undefined;
        const read = async () => this.#read(memory, { keys, tags, options });
        return held === undefined ? read() : held.run(read);
      },
    };
  }

  async #read(
    memory: MemoryStore,
    { keys, tags, options }: { keys: readonly Key[]; tags: readonly Tag[]; options: StoreReadOptions },
  ): Promise<View> {
    const { log, mint = false } = options;
    if (this.#logsLost === 0 || log === undefined) return memory.read(keys, tags, options);
    const suffix = ` ${this.#logsLost}`;
    if (log !== 'tail' && !log.epoch.endsWith(suffix)) {
      return { ...(await memory.read(keys, tags, { mint })), log: { kind: 'gap' } };
    }
    const since =
      log === 'tail' ? log : { epoch: log.epoch.slice(0, -suffix.length), sequence: log.sequence + this.#lostBelow };
    const view = await memory.read(keys, tags, { log: since, mint });
    const moved = (mark: LogMark) => ({ epoch: mark.epoch + suffix, sequence: mark.sequence - this.#lostBelow });
    const seen = view.log as LogSlice;
    if (seen.kind === 'gap') return view;
    return { ...view, log: { ...seen, mark: seen.mark && moved(seen.mark) } as LogSlice };
  }
}
