/** What a run must hold. Those of speed and time are only checked where the machine is worth it: not with LOAD_TIMING=off. */

export type Check = (what: string, holds: boolean) => void;

export class Checks {
  readonly failed: string[] = [];
  readonly #say: (line: string) => void;
  readonly #timing: boolean;

  constructor(say: (line: string) => void, { timing }: { timing: boolean }) {
    this.#say = say;
    this.#timing = timing;
  }

  readonly must: Check = (what, holds) => {
    this.#say(`- ${holds ? 'ok' : 'FAILED'}: ${what}`);
    if (!holds) this.failed.push(what);
  };

  readonly mustInTime: Check = (what, holds) => {
    if (this.#timing) this.must(what, holds);
    else this.#say(`- ${holds ? 'ok' : 'missed'}, not checked here: ${what}`);
  };
}
