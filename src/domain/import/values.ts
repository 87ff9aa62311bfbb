/** Parsers of the values that files contain. They return the value, or a fault that says what was expected. */
import { z } from 'zod';
import { readText, type TextRule, truncated } from '../../std/text.js';

/** For zod: a message that says what was expected and what was found. */
export function expected(what: string) {
  return { error: ({ input }: { input?: unknown }) => `expected ${what}, got ${shown(input)}` };
}

export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  const json = JSON.stringify(value);
  return json.length <= 80 ? json : `${truncated(json, 80)}…`;
}

/** The same rules as for texts in the API. */
export function text(rule: TextRule) {
  return z.string(expected(`text of ${rule.minChars} to ${rule.maxChars} characters`)).transform((given, context) => {
    const read = readText(rule, given);
    if ('text' in read) return read.text;
    context.addIssue(read.fault);
    return z.NEVER;
  });
}

export function emptyAsNull(value: string | null | undefined): string | null {
  return value ? value : null;
}

/** An instant of a JSON file. */
export const instant = z.iso
  .datetime({ offset: true, abort: true, ...expected('an ISO date-time') })
  .refine((given) => Date.parse(given) >= 0, expected('a date-time after 1970')) // ids contain it as an unsigned number
  .transform((given) => new Date(given).toISOString());

/** `2026-11-30`, of a day that exists. */
export function isDay(given: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(given)) return false;
  const at = Date.parse(`${given}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(given);
}

/** Letters and digits alone, in small letters: `Won't do` is `wontdo`. */
export function plain(given: string): string {
  return given.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '');
}
