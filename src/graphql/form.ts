/**
 * One answer names all faults of an input. A form holds the fields that are well-formed, even if others are not; the
 * service checks in the database what those name, adds the refusals to the form's faults, and writes only if there are
 * none.
 */
import type { z } from 'zod';
import { faultsOf, Refusal, together, type UserErrorCode } from './user-error.js';

/** The path of a mutation's input. */
export const INPUT = ['input'];

export interface Form<T extends object> {
  /** The well-formed fields. A faulty one is absent, as one that was not given. */
  readonly fields: Partial<T>;
  readonly faults: readonly Refusal[];
  /** The path of the input. */
  readonly path: readonly string[];
}

/** Reads an input field by field. */
export function readForm<S extends z.ZodObject>(
  schema: S,
  given: object,
  path: readonly string[] = INPUT,
): Form<z.output<S>> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return { fields: parsed.data, faults: [], path };
  const faulty = new Set(parsed.error.issues.map((issue) => issue.path[0]));
  const sound = Object.entries(schema.shape).filter(([name]) => !faulty.has(name));
  const fields = sound.map(([name, type]) => [name, (type as z.ZodType).parse(given[name as keyof typeof given])]);
  return { fields: Object.fromEntries(fields) as Partial<z.output<S>>, faults: faultsOf(parsed.error, path), path };
}

/** A field without which nothing else can be checked. @throws Refusal with all faults if it is one of them */
export function requireField<T extends object, N extends keyof T>({ fields, faults }: Form<T>, name: N): T[N] {
  if (fields[name] === undefined && faults.length > 0) throw together(faults);
  return fields[name] as T[N];
}

/**
 * What is wrong with an input, as far as it is known. A transaction can run several times, so each run needs faults of
 * its own.
 */
export class Faults {
  readonly #found: Refusal[];
  readonly #path: readonly string[];

  /** @param form whose faults are the first */
  constructor({ faults, path }: Pick<Form<object>, 'faults' | 'path'> = { faults: [], path: INPUT }) {
    this.#found = [...faults];
    this.#path = path;
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** All of them in one refusal; undefined if there are none. */
  get refusal(): Refusal | undefined {
    return this.any ? together(this.#found) : undefined;
  }

  add(refusal: Refusal | undefined): void {
    if (refusal !== undefined) this.#found.push(refusal, ...refusal.others);
  }

  /** Adds a fault of a field. */
  addTo(field: string, code: UserErrorCode, message: string): void {
    this.add(new Refusal(code, message, this.pathOf(field)));
  }

  pathOf(field: string): readonly string[] {
    return [...this.#path, field];
  }

  /** Runs a check and adds its refusal. @returns undefined if it was refused */
  async check<R>(run: () => Promise<R>): Promise<R | undefined> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.add(error);
      return undefined;
    }
  }

  /** Runs a check that all that follow need. @throws Refusal with all faults so far if it is refused */
  async require<R>(run: () => Promise<R>): Promise<R> {
    const before = this.#found.length;
    const result = await this.check(run);
    if (this.#found.length > before) this.throwIfAny();
    return result as R;
  }

  throwIfAny(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }

  /** All fields of a form. @throws Refusal if anything is wrong */
  complete<T extends object>({ fields }: Form<T>): T {
    this.throwIfAny();
    return fields as T; // without faults every field was parsed
  }
}
