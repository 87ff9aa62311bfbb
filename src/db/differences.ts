/**
 * Finds the fields of an update that change the row. An update without effect leaves the row and all caches untouched.
 */

/** Undefined if nothing changes. Absent and equal fields are left out. Values are texts, numbers, null, and arrays of these. */
export function changedFields<Row extends object, C extends { [N in keyof Row]?: Row[N] | undefined }>(
  row: Row,
  changes: C,
): Partial<C> | undefined {
  const different = Object.entries(changes).filter(
    ([name, value]) => value !== undefined && !isSame(value, row[name as keyof Row]),
  );
  return different.length === 0 ? undefined : (Object.fromEntries(different) as Partial<C>);
}

function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
