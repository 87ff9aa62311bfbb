/**
 * Results that contain JSON which has been written before. A part of an answer is kept as text (query-run.ts), and the
 * text goes into each response as it is.
 */

/** Stands in a result for the value that the text is of. */
export class JsonText {
  constructor(readonly text: string) {}

  /** For writers that do not know it. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** `JSON.stringify` of a result, for one with `JsonText` in it: the native one would parse each text to write it again. */
export function writeJson(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (value instanceof JsonText) return value.text;
  if (Array.isArray(value)) return `[${value.map((item) => writeJson(item) ?? 'null').join(',')}]`;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return JSON.stringify(value);
  let members = '';
  for (const [name, member] of Object.entries(value)) {
    const text = writeJson(member);
    if (text !== undefined) members += `${members === '' ? '' : ','}${JSON.stringify(name)}:${text}`;
  }
  return `{${members}}`;
}

/** The `data` of results that contain `JsonText`. */
const withTexts = new WeakSet<object>();

/** Notes that `data` contains `JsonText`, for `stringifyResult`. */
export function noteTexts(data: object): void {
  withTexts.add(data);
}

/** A result as JSON, byte for byte as `JSON.stringify` of what the texts stand for. */
export function stringifyResult(result: { readonly data?: unknown }): string {
  const hasTexts = typeof result.data === 'object' && result.data !== null && withTexts.has(result.data);
  return (hasTexts ? writeJson(result) : JSON.stringify(result)) as string;
}
