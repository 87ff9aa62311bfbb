/**
 * Rules for texts in mutations, filters, imports and token profiles. A character is a Unicode code point, as in
 * Postgres. Texts are stored in Normalization Form C. docs/texts.md documents these rules for users.
 */

export interface TextRule {
  /**
   * `line`: a name or title. `block`: any number of lines, such as Markdown. `opaque`: a client-chosen value, stored
   * and compared unchanged.
   */
  readonly kind: 'line' | 'block' | 'opaque';
  /** 1: the text must have a visible character. */
  readonly minChars: 0 | 1;
  readonly maxChars: number;
}

/** The check constraints of the tables have the same limits. */
export const TEXTS = {
  taskTitle: { kind: 'line', minChars: 1, maxChars: 500 },
  taskDescription: { kind: 'block', minChars: 0, maxChars: 65_536 },
  commentBody: { kind: 'block', minChars: 1, maxChars: 65_536 },
  labelName: { kind: 'line', minChars: 1, maxChars: 100 },
  labelDescription: { kind: 'block', minChars: 0, maxChars: 1000 },
  projectName: { kind: 'line', minChars: 1, maxChars: 100 },
  projectDescription: { kind: 'block', minChars: 0, maxChars: 10_000 },
  userHandle: { kind: 'line', minChars: 1, maxChars: 64 },
  userName: { kind: 'line', minChars: 1, maxChars: 100 },
  idempotencyKey: { kind: 'opaque', minChars: 1, maxChars: 200 },
} as const satisfies Record<string, TextRule>;

/** The text as it is stored, or a sentence that says what was expected and what was given. */
export type ReadText = { readonly text: string } | { readonly fault: string; readonly code: TextFault };

/** The kind of a text's fault, for programs. */
export type TextFault = 'BLANK' | 'TOO_LONG' | 'INVALID';

/** NUL, which Postgres cannot store, and unpaired surrogates, which UTF-8 cannot encode. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;
/**
 * Normalization takes time quadratic in a run of combining marks: 26 s for 200,000. Unicode's Stream-Safe Text Format
 * (UAX #15) allows 30. The lookbehind makes the search try each run once.
 */
const MAX_MARKS = 30;
const TOO_MANY_MARKS = /(?<!\p{M})\p{M}{31}/u;
const LINE_BREAK = /[\n\r\v\f\u0085\u2028\u2029]/u;
const CONTROL = /\p{Cc}/u;
/**
 * These reorder the text around a name, so that it can look like another name. Direction marks (U+200E, U+200F, U+061C)
 * cannot.
 */
const DIRECTION_CONTROL = /[\u202a-\u202e\u2066-\u2069]/u;
/**
 * Characters that neither show nor shape anything: soft hyphen, word joiner, byte order mark; zero width space, except
 * in scripts in which it separates words; tag characters outside a flag. Joiners and variation selectors shape letters
 * and emoji, so they stay.
 */
const WITHOUT_EFFECT =
  /(?<!\u{1f3f4}[\u{e0020}-\u{e007e}]{0,7})[\u{e0000}-\u{e007f}]|[\u00ad\u180e\u2060-\u2064\ufeff]|(?<![\p{sc=Khmr}\p{sc=Laoo}\p{sc=Mymr}\p{sc=Thai}\p{sc=Lana}\p{sc=Tale}\p{sc=Talu}\p{sc=Tavt}])\u200b/gu;
/** White space and characters that look like it, removed at both ends of a line. */
const EDGE = /[\p{White_Space}\u200b\u2800\u3164\uffa0]/u;
const VISIBLE = /[^\p{White_Space}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Checks and normalizes a text to be stored. */
export function readText({ kind, minChars, maxChars }: TextRule, given: string): ReadText {
  const read = normalized(kind, given);
  if ('fault' in read) return read;
  const text = kind === 'line' ? trimmed(read.text) : read.text;
  const fault = kind === 'line' ? lineFault(text) : undefined;
  if (fault !== undefined) return { fault, code: 'INVALID' };
  const range =
    minChars > 0 ? `expected ${minChars} to ${maxChars} characters` : `expected at most ${maxChars} characters`;
  if (isBlank(text)) {
    if (minChars === 0) return { text: '' };
    return { fault: `${range}, got ${given === '' ? 'none' : 'none that is visible'}`, code: 'BLANK' };
  }
  const chars = countChars(text);
  return chars > maxChars ? { fault: `${range}, got ${chars}`, code: 'TOO_LONG' } : { text };
}

/** Reads a text that is compared with stored ones: normalized, but not trimmed or otherwise changed. */
export function readComparand(kind: TextRule['kind'], given: string, maxChars: number): ReadText {
  const read = normalized(kind, given);
  const chars = 'text' in read ? countChars(read.text) : 0;
  if (chars <= maxChars) return read;
  return { fault: `expected at most ${maxChars} characters, got ${chars}`, code: 'TOO_LONG' };
}

/**
 * A line from a source that cannot be asked to correct it: characters that `readText` refuses become spaces. Empty if
 * there are no visible characters.
 */
export function toLine(given: string, maxChars: number): string {
  const clean = given
    .replaceAll(WITHOUT_EFFECT, '')
    .replaceAll(/[\p{Surrogate}\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .replaceAll(/(?<!\p{M})(\p{M}{30})\p{M}+/gu, '$1');
  const line = trimmed(truncated(trimmed(clean.normalize('NFC')), maxChars));
  return isBlank(line) ? '' : line;
}

/** Whether Postgres can store the text or compare with it. */
export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** Whether the text has no visible characters. */
export function isBlank(text: string): boolean {
  return !VISIBLE.test(text);
}

export function countChars(text: string): number {
  let chars = text.length;
  for (let i = 1; i < text.length; i++) if (isLow(text.charCodeAt(i)) && isHigh(text.charCodeAt(i - 1))) chars--;
  return chars;
}

/** The first `maxChars` characters. */
export function truncated(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  let end = 0;
  for (let chars = 0; chars < maxChars && end < text.length; chars++) end += isPairAt(text, end) ? 2 : 1;
  return text.slice(0, end);
}

/** A client's text for use in a message: quoted and shortened. */
export function quoted(text: string, maxChars = 60): string {
  const start = truncated(text, maxChars);
  return JSON.stringify(start === text ? text : `${start}…`);
}

/**
 * Compares texts by code points, as Postgres does with `collate "C"` in a UTF-8 database. JavaScript's `<` compares
 * UTF-16 code units.
 */
export function compareChars(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    // Surrogates encode characters above U+FFFF, so they sort after U+E000 to U+FFFF.
    if (x !== y) return behindSurrogates(x) - behindSurrogates(y);
  }
  return a.length - b.length;
}

function behindSurrogates(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** Normalizes a text to the form in which it is stored and compared. */
function normalized(kind: TextRule['kind'], given: string): ReadText {
  const at = given.search(UNSTORABLE);
  if (at >= 0) {
    const what = given[at] === '\0' ? 'NUL (U+0000)' : `an unpaired surrogate (${codePoint(given, at)})`;
    return { fault: `expected a text that can be stored, got ${what} ${place(given, at)}`, code: 'INVALID' };
  }
  if (kind === 'opaque') return { text: given };
  const text = kind === 'line' ? given.replaceAll(WITHOUT_EFFECT, '') : given.replaceAll(/\r\n?/g, '\n');
  const marksAt = text.search(TOO_MANY_MARKS);
  if (marksAt < 0) return { text: text.normalize('NFC') };
  const message = `expected at most ${MAX_MARKS} combining marks in a row, got more ${place(text, marksAt)}`;
  return { fault: message, code: 'INVALID' };
}

function lineFault(text: string): string | undefined {
  for (const [expected, what, pattern] of LINE_FAULTS) {
    const at = text.search(pattern);
    if (at >= 0) return `expected ${expected}, got ${what} (${codePoint(text, at)}) ${place(text, at)}`;
  }
  return undefined;
}

const LINE_FAULTS = [
  ['one line', 'a line break', LINE_BREAK],
  ['no control characters', 'one', CONTROL],
  ['no characters that reorder text', 'one', DIRECTION_CONTROL],
] as const;

/** Not a pattern that ends with `$`: its time is quadratic in white space inside the text. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && EDGE.test(text.charAt(start))) start++;
  while (end > start && EDGE.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

function codePoint(text: string, at: number): string {
  return `U+${(text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

function place(text: string, at: number): string {
  return `at character ${countChars(text.slice(0, at)) + 1}`;
}

const isHigh = (unit: number) => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit: number) => unit >= 0xdc00 && unit < 0xe000;
const isPairAt = (text: string, i: number) => isHigh(text.charCodeAt(i)) && isLow(text.charCodeAt(i + 1));
