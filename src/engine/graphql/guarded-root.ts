/**
 * In development and tests, a cached method gets its root behind a guard. The root was read earlier in the request,
 * under older tokens than those that the method's result is stored under. A method that uses it would store an old
 * value as a current one. Fields that `key` reads are safe: another value there makes another entry.
 */

export class UncoveredRoot extends Error {
  override readonly name = 'UncoveredRoot';
  readonly code = 'UNCOVERED_ROOT';
}

/** Every object has these, and `await` and JSON look them up. They show nothing of a row. */
const HARMLESS = new Set(['then', 'toJSON', ...Object.getOwnPropertyNames(Object.prototype)]);

/** The root fields that `read` uses. */
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
 * `root` with only `allowed` as readable fields.
 * @throws UncoveredRoot on access to another field; `reader` names the code that did it
 */
export function guardedRoot(root: unknown, reader: string, allowed: ReadonlySet<string>): unknown {
  if (!isObject(root)) return root;
  const check = (field: string | symbol) => {
    if (typeof field === 'symbol' || allowed.has(field) || HARMLESS.has(field)) return;
    throw new UncoveredRoot(
      `${reader} reads "${field}" of its root, which its key does not name. The root was read earlier in the request and may be old. ` +
        `Add the field to \`key\`, or read the row through \`context.loaders\` inside the method.`,
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
