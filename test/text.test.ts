/** The rules for texts, without the API around them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareChars,
  countChars,
  isBlank,
  quoted,
  readComparand,
  readText,
  TEXTS,
  type TextRule,
  toLine,
  truncated,
} from '../src/std/text.js';

const NAME: TextRule = { kind: 'line', minChars: 1, maxChars: 10 };
const BODY: TextRule = { kind: 'block', minChars: 0, maxChars: 20 };
const KEY: TextRule = { kind: 'opaque', minChars: 1, maxChars: 10 };
const FAMILY = '👨‍👩‍👧';
const SCOTLAND = '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}';
/** Any string of UTF-16 code units, with those that need care more often than chance has them. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom(
        '\ud83d',
        '\udd25',
        'e\u0301',
        '\u200b',
        '\u202e',
        '\r\n',
        '\0',
        '\u3164',
        '\u{e0041}',
        ' ',
        '가',
        'ក\u200b',
      ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('a line', () => {
  test.each([
    ['white space around it', ' \u3000a b\u2003\n', 'a b'],
    ['a decomposed letter', 'cafe\u0301', 'café'],
    ['a decomposed Korean syllable', '\u1112\u1161\u11ab', '한'],
    [
      'a soft hyphen, a word joiner, a byte order mark and zero width spaces',
      '\ufeffb\u00adu\u2060g\u200bs\u200b',
      'bugs',
    ],
    ['hidden ASCII in tag characters', 'bug\u{e0068}\u{e0069}', 'bug'],
    ['white space that a Hangul filler or a Braille blank shows', '\u3164bug\u2800', 'bug'],
  ])('loses or changes %s', (_, given, text) => {
    expect(readText(NAME, given)).toEqual({ text });
  });

  test.each([
    ['an emoji of several parts', FAMILY],
    ['an emoji with a variation selector', '❤️'],
    ['a flag with tag characters', SCOTLAND],
    ['a Persian word with a zero width non-joiner', 'می‌خواهم'],
    ['a Hindi word with a zero width joiner', 'क्‍ष'],
    ['a Khmer phrase with a zero width space', 'ភាសា\u200bខ្មែរ'],
    ['a Hebrew phrase with a mark of direction', 'שלום\u200f!'],
    ['characters of the private use area and beyond the BMP', '\ue000\u{10ffff}'],
    ['ten characters that are twenty code units', '😀'.repeat(10)],
  ])('keeps %s', (_, given) => {
    const chars = countChars(given);
    expect(readText({ ...NAME, maxChars: Math.max(10, chars) }, given)).toEqual({ text: given });
  });

  test.each(['\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029'])(
    'is refused with the line break %j in it',
    (lineBreak) => {
      const code = `U+${lineBreak.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
      expect(readText(NAME, `a${lineBreak}b`)).toEqual({
        code: 'INVALID',
        fault: `expected one line, got a line break (${code}) at character 2`,
      });
    },
  );

  test.each([
    ['a tab', 'a\tb', 'expected no control characters, got one (U+0009) at character 2'],
    ['an escape behind an emoji', '😀\u001b[0m', 'expected no control characters, got one (U+001B) at character 2'],
    ['a control character alone', '\u0001', 'expected no control characters, got one (U+0001) at character 1'],
    ['C1 controls', 'a\u009b', 'expected no control characters, got one (U+009B) at character 2'],
    [
      'a right-to-left override',
      '\u202egub',
      'expected no characters that reorder text, got one (U+202E) at character 1',
    ],
    ['an isolate', 'a\u2066b', 'expected no characters that reorder text, got one (U+2066) at character 2'],
    ['NUL', 'a\0', 'expected a text that can be stored, got NUL (U+0000) at character 2'],
    [
      'half a surrogate pair',
      '😀\ud83d',
      'expected a text that can be stored, got an unpaired surrogate (U+D83D) at character 2',
    ],
    [
      'a pair in the wrong order',
      '\udd25\ud83d',
      'expected a text that can be stored, got an unpaired surrogate (U+DD25) at character 1',
    ],
    ['eleven characters', '😀'.repeat(11), 'expected 1 to 10 characters, got 11'],
    ['no characters', '', 'expected 1 to 10 characters, got none'],
    [
      'a hundred accents on one letter',
      `a${'\u0301'.repeat(100)}`,
      'expected at most 30 combining marks in a row, got more at character 2',
    ],
  ])('is refused with %s', (_, given, fault) => {
    expect(readText(NAME, given)).toMatchObject({ fault });
  });

  test.each([
    ' ',
    '\u3000',
    '\u200b',
    '\u2060',
    '\u00ad',
    '\u3164',
    '\uffa0',
    '\u115f\u1160',
    '\u2800',
    '\u200e',
    '\u200d\u200c',
    '\ufe0f',
    '\u{e0041}',
    '\u034f',
    '\u180e',
    '\u17b4',
  ])('of nothing but %j is blank', (given) => {
    expect(isBlank(given)).toBe(true);
    expect(readText(NAME, given)).toMatchObject({ fault: 'expected 1 to 10 characters, got none that is visible' });
  });

  test('marks of more than thirty in a row are found also where characters without effect part them', () => {
    const parted = `a${`${'\u0301'.repeat(30)}\u2060`.repeat(2000)}`;
    expect(readText({ ...NAME, maxChars: 1_000_000 }, parted)).toHaveProperty('fault');
    expect(readComparand('line', parted, 500)).toHaveProperty('fault');
    expect(countChars(toLine(parted, 100))).toBeLessThanOrEqual(31);
  });
});

describe('a block', () => {
  test.each([
    ['line feeds in place of other line ends', 'a\r\nb\rc\n', 'a\nb\nc\n'],
    ['its white space, its tabs and control characters of a log', ' \u001b[1m\ta\u001e ', ' \u001b[1m\ta\u001e '],
    ['composed letters', 'e\u0301', 'é'],
    ['characters without effect', 'a\u200bb\u00ad', 'a\u200bb\u00ad'],
    ['nothing of a blank text', ' \n\u200b', ''],
  ])('has %s', (_, given, text) => {
    expect(readText(BODY, given)).toEqual({ text });
  });

  test('is refused with NUL, half a surrogate pair, or more than its characters', () => {
    for (const given of ['a\0', 'a\udc00', '😀'.repeat(21)]) expect(readText(BODY, given)).toHaveProperty('fault');
    expect(readText(BODY, '😀'.repeat(20))).toEqual({ text: '😀'.repeat(20) });
  });

  test('is measured in its stored form', () => {
    expect(readText(BODY, `${'\r\n'.repeat(19)}a`)).toHaveProperty('text');
    expect(readText(BODY, 'e\u0301'.repeat(20))).toEqual({ text: 'é'.repeat(20) });
    expect(readText(BODY, '\u0958'.repeat(11))).toHaveProperty('fault'); // its composed form has two characters
  });
});

describe('an opaque text', () => {
  test('is stored unchanged', () => {
    for (const given of ['e\u0301', ' a ', 'a\u200b', 'a\r\nb']) expect(readText(KEY, given)).toEqual({ text: given });
  });

  test('is refused with what cannot be stored, when it is blank, and when it is too long', () => {
    for (const given of ['\ud800', 'a\0', '\u200b', '', 'x'.repeat(11)])
      expect(readText(KEY, given)).toHaveProperty('fault');
  });
});

describe('for any text', () => {
  const rules = Object.values(TEXTS).map((rule: TextRule) => ({ ...rule, maxChars: Math.min(rule.maxChars, 12) }));

  test('what is read once reads the same again, keeps the rule, and is found by the text it was read from', () => {
    fc.assert(
      fc.property(fc.constantFrom<TextRule>(...rules), anyText, (rule, given) => {
        const read = readText(rule, given);
        if ('fault' in read) return;
        const { text } = read;
        expect(readText(rule, text)).toEqual({ text });
        expect(/\p{Surrogate}|\0/u.test(text)).toBe(false);
        expect(countChars(text)).toBeLessThanOrEqual(rule.maxChars);
        expect(isBlank(text)).toBe(text === '');
        if (rule.kind === 'line') {
          expect(text).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
          expect(text).toBe(text.trim());
          const comparand = readComparand('line', given, 1000);
          expect('text' in comparand && comparand.text.includes(text)).toBe(true);
        }
        if (rule.kind !== 'opaque') expect(text).toBe(text.normalize('NFC'));
      }),
      { numRuns: 2000 },
    );
  });

  test('canonically equivalent texts are read as one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 8 }), (given) => {
        for (const kind of ['line', 'block'] as const) {
          const rule: TextRule = { kind, minChars: 0, maxChars: 1000 };
          expect(readText(rule, given.normalize('NFD'))).toEqual(readText(rule, given.normalize('NFC')));
        }
      }),
    );
  });

  test('toLine gives a line that readText accepts unchanged, or nothing', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 12 }), (given, maxChars) => {
        const line = toLine(given, maxChars);
        if (line !== '') expect(readText({ kind: 'line', minChars: 1, maxChars }, line)).toEqual({ text: line });
      }),
      { numRuns: 2000 },
    );
  });

  test('characters are counted, cut and ordered as UTF-8 has them', () => {
    const wellFormed = anyText.map((text) => text.replaceAll(/\p{Surrogate}/gu, '\uffff'));
    fc.assert(
      fc.property(wellFormed, wellFormed, fc.nat(10), (a, b, n) => {
        expect(countChars(a)).toBe([...a].length);
        expect(truncated(a, n)).toBe([...a].slice(0, n).join(''));
        expect(Math.sign(compareChars(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
  });
});

test('a text in a message is cut between characters', () => {
  expect(quoted('ab')).toBe('"ab"');
  expect(quoted('😀'.repeat(3), 2)).toBe('"😀😀…"');
});

test('texts of a mebibyte that are made to be slow take no more than seconds of CPU', () => {
  const slow = [
    `a${' '.repeat(1_000_000)}b`,
    `a${'\u0301'.repeat(500_000)}${'\u0316'.repeat(500_000)}`,
    `${`a${'\u0301'.repeat(30)}`}`.repeat(30_000),
    '\u200b'.repeat(1_000_000),
    `🏴${'\u{e0041}'.repeat(400_000)}`,
    '\ud83d\ude00'.repeat(500_000),
    '\r'.repeat(1_000_000),
  ];
  const before = process.cpuUsage();
  for (const given of slow) {
    for (const rule of [TEXTS.taskTitle, TEXTS.commentBody]) readText(rule, given);
    toLine(given, 100);
  }
  // Some 2 s; one quadratic step in any of them takes minutes. Of this process, so that it does not matter what else the machine does.
  expect(process.cpuUsage(before).user / 1e6).toBeLessThan(30);
});
