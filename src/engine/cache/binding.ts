/** What a store may serve and store while it is bound to a database: see `Store.bind`. */
import { databaseOf, mayStore } from './purge.js';

export class Binding {
  #database: (() => string | undefined) | undefined;
  #owned: () => boolean = () => true;

  set(database: () => string | undefined, owned: () => boolean = () => true): void {
    this.#database = database;
    this.#owned = owned;
  }

  /** Whether the keys are known to belong to the database. */
  get owned(): boolean {
    return this.#owned();
  }

  /** Whether a lease or entry with this purge token is of the database. */
  believes(purge: string): boolean {
    return this.#database === undefined || this.#database() === databaseOf(purge);
  }

  /** Whether this entry may be stored: see `mayStore`. */
  allows(text: string): boolean {
    return this.#database === undefined || mayStore(text, this.#database());
  }
}
