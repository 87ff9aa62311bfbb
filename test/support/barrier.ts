/** Gates: a step waits where a test holds it, and goes on when the test says so. */

export class Gate {
  #open: () => void = () => {};
  #arrived: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  /** Resolves when the step has arrived. */
  readonly arrived = new Promise<void>((resolve) => {
    this.#arrived = resolve;
  });

  /** For the step: tells that it is here, waits to be let through. */
  async pass(): Promise<void> {
    this.#arrived();
    await this.opened;
  }

  open(): void {
    this.#open();
  }
}

/** Holds the next call of a step; steps that nobody holds go straight through. */
export class Gates<Step extends string> {
  readonly #held = new Map<Step, Gate>();

  hold(step: Step): Gate {
    const gate = new Gate();
    this.#held.set(step, gate);
    return gate;
  }

  async pass(step: Step): Promise<void> {
    const gate = this.#held.get(step);
    this.#held.delete(step);
    await gate?.pass();
  }
}
