/**
 * A live answer comes whole, and little of it differs from the one before. What is equal stays the same object, so that
 * components with `memo` render only where something has changed.
 */
export function keepEqual<T>(before: unknown, after: T): T {
  if (before === after || !isObject(before) || !isObject(after)) return after;
  if (Array.isArray(before) !== Array.isArray(after)) return after;
  const kept: Record<string, unknown> = Array.isArray(after) ? ([] as never) : {};
  const keys = Object.keys(after);
  for (const key of keys) kept[key] = keepEqual(before[key], after[key]);
  const isSame = keys.length === Object.keys(before).length && keys.every((key) => kept[key] === before[key]);
  return (isSame ? before : kept) as T;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
