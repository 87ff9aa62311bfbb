/** What of an update would change its row. An update that changes nothing leaves the row and all caches alone. */

/** Undefined when nothing would: what is absent, or as it is, is left out. Column values are texts, numbers and null. */
export function changedFields<Row extends object, C extends { [N in keyof Row]?: Row[N] | undefined }>(
  row: Row,
  changes: C,
): Partial<C> | undefined {
  const different = Object.entries(changes).filter(
    ([name, value]) => value !== undefined && value !== row[name as keyof Row],
  );
  return different.length === 0 ? undefined : (Object.fromEntries(different) as Partial<C>);
}
