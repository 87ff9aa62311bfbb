/** Why a file is not imported. */

export type ImportErrorCode =
  | 'NOT_JSON'
  | 'NOT_AN_ARRAY'
  | 'NO_ISSUES'
  | 'NO_TASKS'
  | 'UNKNOWN_FORMAT'
  | 'BAD_HEADER'
  | 'BAD_ENCODING'
  | 'BAD_RECORD'
  | 'DUPLICATE_ISSUE'
  | 'SEVERAL_REPOSITORIES'
  | 'BAD_PROJECT_KEY'
  | 'UNKNOWN_OWNER'
  | 'NOT_A_WRITER'
  | 'ARCHIVED'
  | 'LATE_START'
  | 'PARENT_CYCLE'
  | 'RELATION_CYCLE'
  | 'TOO_MANY_RELATIONS';

/** Nothing was imported. The message names the record and field, what was expected and what was found. */
export class ImportError extends Error {
  override readonly name = 'ImportError';

  constructor(
    readonly code: ImportErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Faults listed in one message; further faults are only counted. */
export const MAX_FAULTS = 100;

/** The faults of a file. Keeps as many as a message lists. */
export class Faults {
  readonly #listed: string[] = [];
  #count = 0;

  add(fault: string): void {
    this.#count++;
    if (this.#listed.length < MAX_FAULTS) this.#listed.push(fault);
  }

  /** @throws ImportError if there are any */
  throwIfAny(): void {
    if (this.#count === 0) return;
    const more = this.#count - this.#listed.length;
    throw new ImportError('BAD_RECORD', [...this.#listed, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'));
  }
}
