/** The databases that this process has left, until what is stored for them is void. */
import { databaseOf, type GroupHead, type Position, purgeFor, type Store, type Tick } from '../cache/index.js';

export class LeftDatabases {
  readonly #store: Pick<Store, 'groups' | 'apply'>;
  /** By group, those whose entries there are not void yet. */
  readonly #byGroup = new Map<number, Set<string>>();

  constructor(store: Pick<Store, 'groups' | 'apply'>) {
    this.#store = store;
  }

  leave(id: string): void {
    for (let group = 0; group < this.#store.groups; group++) {
      this.#byGroup.set(group, (this.#byGroup.get(group) ?? new Set()).add(id));
    }
  }

  /**
   * Voids what is stored for a database that this process has left, once. Between the change of the address and the
   * tick that noticed it, a connection that was opened meanwhile read from the database behind the address, and the
   * results were stored under the lease of the one before. Other processes may still be right to use that one, and
   * would serve such a result until it expires. With another purge token all entries under the present one are void,
   * those that are still on their way included. Readers learn it with the next lease, within 2 s.
   */
  async voidEntries(reached: readonly GroupHead[], latest: string | undefined): Promise<void> {
    const voided = async ({ group, head }: GroupHead): Promise<boolean> => {
      const { position } = head;
      const owner = position && databaseOf(position.purge);
      // One that is back is purged as a whole: see `KnownDatabase.toBePurged`.
      if (owner === undefined || owner === latest || this.#byGroup.get(group)?.has(owner) !== true) return true;
      const next = { xid: (position as Position).xid, purge: purgeFor(owner) };
      const tick: Tick = { head, next, rows: [], barrier: undefined, grant: 'hold' };
      return (await this.#store.apply(tick, group)).result === 'applied';
    };
    const due = reached.filter(({ group }) => this.#byGroup.has(group));
    await Promise.all(due.map(async (one) => (await voided(one)) && this.#byGroup.delete(one.group)));
  }
}
