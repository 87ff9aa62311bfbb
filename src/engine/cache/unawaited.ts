/** Work that no caller waits for. */
export class Unawaited {
  readonly #running = new Set<Promise<unknown>>();

  /** @param work must not reject */
  add(work: Promise<unknown>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  /** Resolves when the work added so far has ended. */
  async flush(): Promise<void> {
    await Promise.all(this.#running);
  }
}
