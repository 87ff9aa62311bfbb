/**
 * In development and tests, a cached method gets its root behind a guard. The root is a row that was read earlier in the request, under
 * older tokens than those that the method's result is stored under. A method that computes from it would store an old value as a current
 * one. What `key` reads is safe: another value there is another entry.
 */

export class UncoveredRoot extends Error {
  override readonly name = 'UncoveredRoot';
  readonly code = 'UNCOVERED_ROOT';
}

/** Every object has these, and `await` and JSON look for them; they say nothing of a row. */
const HARMLESS = new Set(['then', 'toJSON', ...Object.getOwnPropertyNames(Object.prototype)]);

/** The fields of `root` that `read` reads. */
export function fieldsRead(root: unknown, read: (root: unknown) => unknown): ReadonlySet<string> {
  const fields = new Set<string>();
  if (!isObject(root)) return fields;
  read(
    new Proxy(root, {
      get(target, field) {
        if (typeof field === 'string') fields.add(field);
        return Reflect.get(target, field);
      },
      ownKeys(target) {
        for (const field of Object.keys(target)) fields.add(field);
        return Reflect.ownKeys(target);
      },
    }),
  );
  return fields;
}

/**
 * `root` with `allowed` as its only readable fields.
 * @throws UncoveredRoot, later, where another field is read: `reader` says by what
 */
export function guardedRoot(root: unknown, reader: string, allowed: ReadonlySet<string>): unknown {
  if (!isObject(root)) return root;
  const check = (field: string | symbol) => {
    if (typeof field === 'symbol' || allowed.has(field) || HARMLESS.has(field)) return;
    throw new UncoveredRoot(
      `${reader} reads "${field}" of its root, which its key does not name. The root was read earlier in the request and may be old. ` +
        `Add the field to \`key\`, or read the row through \`context.loads\` inside the method.`,
    );
  };
  return new Proxy(root, {
    get(target, field) {
      check(field);
      return Reflect.get(target, field);
    },
    has(target, field) {
      check(field);
      return Reflect.has(target, field);
    },
    ownKeys(target) {
      for (const field of Object.keys(target)) check(field); // spread, Object.keys, JSON.stringify
      return Reflect.ownKeys(target);
    },
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
